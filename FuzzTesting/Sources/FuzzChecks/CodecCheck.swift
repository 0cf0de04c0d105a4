// Field tables, properties and JSON: what is understood can be written, and is understood again as the same.

import LeveretCore

/// Checks of the codecs. Compared are bytes, not values, since a double that is no number equals nothing.
enum CodecCheck {
    static func faultInTable(_ bytes: [UInt8]) -> String? {
        guard let table = try? FieldTableCodec.decode(bytes) else { return nil }
        let written = FieldTableCodec.encode(table)
        guard let again = try? FieldTableCodec.decode(written) else { return "a table is not read back" }
        guard FieldTableCodec.encode(again) == written else { return "a table is read back as another" }
        guard (try? FieldTableCodec.check(table)) != nil else { return "a table that came can't go" }
        // AMQP has more types than JSON, so only that it is JSON can be asked; deeper nesting than JSON's
        // reader takes is refused by it.
        do throws(BrokerError) { _ = try JSONText.read(JSONText.write(table)) } catch {
            return error.text.contains("deep") ? nil : "a table's JSON is none: \(error)"
        }
        return nil
    }

    static func faultInProperties(_ bytes: [UInt8]) -> String? {
        guard let (properties, isPersistent) = try? PropertiesCodec.decode(bytes) else { return nil }
        let written = PropertiesCodec.encode(properties, isPersistent: isPersistent)
        guard let again = try? PropertiesCodec.decode(written) else { return "properties are not read back" }
        guard PropertiesCodec.encode(again.0, isPersistent: again.isPersistent) == written else {
            return "properties are read back as others"
        }
        guard let properties else { return nil }
        return (try? PropertiesCodec.check(properties)) == nil ? "properties that came can't go" : nil
    }

    static func faultInJSON(_ bytes: [UInt8]) -> String? {
        guard let text = String(validating: bytes, as: UTF8.self), let value = try? JSONText.read(text) else {
            return nil
        }
        let written = JSONText.write(value)
        guard let again = try? JSONText.read(written) else { return "JSON is not read back: \(written)" }
        guard again == value else { return "JSON is read back as another value: \(written)" }
        let table: FieldTable = ["value": value]
        guard (try? FieldTableCodec.check(table)) != nil else { return nil }
        guard let carried = try? FieldTableCodec.decode(FieldTableCodec.encode(table)), carried == table
        else {
            return "a table does not carry what JSON said: \(written)"
        }
        return nil
    }
}
