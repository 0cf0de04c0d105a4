// The settings of `serve`, checked, from all their places; what `serve` starts with, what SIGHUP reads again, and
// what --print-config shows.

import Leveret
import LeveretServer
import LeveretWire
import Logging

/// What a server is started with.
struct ServeSettings {
    /// The file.
    var database: String
    var durability: StoreOptions.Durability
    var server = ServerConfiguration()
    var logLevel: Logger.Level
    /// All of them, in the order of `SettingKey.all`.
    let values: [SettingValue]

    /// Takes each setting from the command line, else from the environment, else from the file, else its default.
    ///
    /// - Parameters:
    ///   - flags: What the command line says, by the names of the settings.
    ///   - configPath: What `--config` says; else LEVERET_CONFIG names the file, else there is none.
    /// - Throws: `Failure` with `.usage`, naming what is wrong and where it stands; with `.notFound` or `.refused`
    ///   where the file can't be read.
    init(
        flags: [String: [String]], configPath: String? = nil, environment: (String) -> String?
    ) throws(Failure) {
        var file: SettingsFile?
        if let path = configPath ?? environment("LEVERET_CONFIG") { file = try SettingsFile(path: path) }
        values = SettingKey.all.map { SettingValue($0, flags: flags, environment: environment, file: file) }
        let values = values
        func value(_ key: SettingKey) -> SettingValue {
            values.first { $0.key == key }
                ?? SettingValue(key, flags: [:], environment: { _ in nil }, file: nil)
        }
        database = try value(.db).text ?? "leveret.db"
        durability = try value(.durability).word()
        logLevel = try value(.logLevel).word()
        let listen = value(.listen)
        server.addresses = []
        for text in listen.texts {
            guard let address = ListenAddress(text) else { throw listen.wrong(text) }
            server.addresses.append(address)
        }
        server.unixSocketMode = try value(.unixMode).mode
        server.limits.connectionsMax = try value(.maxConnections).number
        server.limits.line.lineBytesMax = try value(.maxLine).number
        server.limits.line.bodyBytesMax = try value(.maxBody).number
        server.limits.stalledSeconds = try value(.stalled).number
        server.limits.drainSeconds = try value(.drain).number
        server.alarms.diskFreeBytesMin = try value(.diskFreeMin).number
        server.alarms.residentBytesMax = try value(.memoryMax).number
        server.login.areForLocalClients = try value(.localAuth).word(LocalAuth.self) == .required
        server.login.allowPlainPasswords = try value(.allowPlainAuth).word(Consent.self) == .yes
        server.tls = try Self.tls(value)
    }

    private static func tls(_ value: (SettingKey) -> SettingValue) throws(Failure) -> TLSSettings? {
        let clients = try value(.tlsClients).word(TLSSettings.ClientCertificates.self)
        let version = try value(.tlsMin).word(TLSSettings.Version.self)
        let authority = try value(.tlsClientCA).text
        switch (try value(.tlsCertificate).text, try value(.tlsKey).text) {
        case (.some(let certificate), .some(let key)):
            var settings = TLSSettings(certificatePath: certificate, keyPath: key)
            settings.clientAuthorityPath = authority
            settings.clientCertificates = clients
            settings.versionMin = version
            return settings
        case (.some, nil): throw Failure(.usage, "there is a certificate without a key; set tls-key too")
        case (nil, .some):
            throw Failure(.usage, "there is a key without a certificate; set tls-certificate too")
        case (nil, nil):
            guard authority == nil, clients == .none else {
                throw Failure(
                    .usage,
                    "clients are to show certificates, but the server has none itself; set tls-certificate and tls-key"
                )
            }
            return nil
        }
    }

    /// A configuration file that says all of this; behind each setting, where it comes from.
    var yaml: String {
        var text =
            "# The settings in force, and where each comes from. 'leveret serve --config' takes this.\n"
        for value in values {
            let items = value.texts.map(Self.quoted)
            if items.isEmpty {
                text += "# \(value.key.name): not set\n"
            } else if value.key.kind == .list {
                text += "\(value.key.name):  # \(value.source.printable)\n"
                for item in items { text += "  - \(item)\n" }
            } else {
                text += "\(value.key.name): \(items[items.count - 1])  # \(value.source.printable)\n"
            }
        }
        return text
    }

    /// A text as YAML reads it back: as it is where nothing in it means anything, else in double quotes.
    private static func quoted(_ text: String) -> String {
        let isPlain = text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_", "/", ".", ":", "-": true
            default: false
            }
        }
        let hasStart = text.unicodeScalars.first.map { $0 != "-" && $0 != ":" } ?? false
        if isPlain, hasStart, text.last != ":", !["null"].contains(text.lowercased()) { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.properties.generalCategory == .control:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// The settings that differ from `other` and take effect at a start only.
    func needingRestart(since other: ServeSettings) -> [String] {
        var renewed: [SettingKey] = [.logLevel]
        // Certificates are renewed where there are any; TLS is not turned on or off.
        if (server.tls == nil) == (other.server.tls == nil) {
            renewed += [.tlsCertificate, .tlsKey, .tlsClientCA, .tlsClients, .tlsMin]
        }
        return zip(values, other.values)
            .filter { now, then in now.texts != then.texts && !renewed.contains(now.key) }
            .map { $0.0.key.name }
    }
}

/// Whether clients on this machine must log in.
private enum LocalAuth: String { case none, required }

/// Whether something that is unwise by default is allowed.
private enum Consent: String { case no, yes }
