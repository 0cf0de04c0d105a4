import LeveretCore

enum PropertiesCodec {
    static func encode(_ p: MessageProperties, isPersistent: Bool) -> [UInt8] {
        [isPersistent ? 1 : 0] + Array((p.messageID ?? "").utf8)
    }
    static func decode(
        _ b: [UInt8]
    ) throws(BrokerError) -> (properties: MessageProperties, isPersistent: Bool) {
        var p = MessageProperties()
        p.messageID = String(decoding: b.dropFirst(), as: UTF8.self)
        return (p, b.first == 1)
    }
}
enum FieldTableCodec {
    static func encode(_ t: FieldTable) -> [UInt8] { Array(t.fields.map(\.name).joined().utf8) }
    static func decode(_ b: [UInt8]) throws(BrokerError) -> FieldTable { FieldTable() }
}
extension FieldTable { func jsonText() -> String { "{}" } }
extension DeathHistory {
    func jsonText() -> String { "[]" }
    convenience init(jsonText: String) throws(BrokerError) {
        self.init(
            deaths: [], originQueue: "a", firstReason: .expired, firstExchange: "", firstTime: 0, lastTime: 0,
            errorText: nil)
    }
}
