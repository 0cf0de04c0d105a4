// Virtual hosts from Swift: creating, listing and deleting them, and the broker as one of them has it.

public import LeveretCore

extension Broker {
    /// The broker as a virtual host has it: names of queues, exchanges and policies in what is asked of it are names
    /// there.
    ///
    /// ```swift
    /// try await broker.createVirtualHost("shop")
    /// let shop = try await broker.virtualHost("shop")
    /// try await shop.declareQueue("orders")  // another than the "orders" of `broker`
    /// ```
    ///
    /// Both are one broker: they share its file and its threads, and `shutdown()` of either ends both. Connections,
    /// status, events and queries are those of the whole broker.
    ///
    /// - Throws: a `BrokerError`: 404 when there is no virtual host of this name.
    public func virtualHost(_ name: VirtualHostName) async throws -> Broker {
        Broker(self, door: try await Door(connection: connection, in: name), in: name)
    }

    /// Makes sure that a virtual host is there; returns once it is on disk.
    ///
    /// - Parameter name: 1 to 255 bytes of UTF-8.
    /// - Throws: a `BrokerError`: 406 for another name, 506 when there are 1,000 already
    ///   (`CoreLimits.virtualHostsMax`).
    public func createVirtualHost(_ name: VirtualHostName) async throws {
        try await change(.createVirtualHost(name))
    }

    /// Deletes a virtual host with its queues, their messages, its exchanges, bindings and policies. Returns once all
    /// of it is off the disk. Consumers in it end, what a `virtualHost(_:)` is asked there is refused, and connections
    /// of a server that are in it are closed.
    ///
    /// - Returns: how many messages were ready in it; 0 where it is not there.
    /// - Throws: a `BrokerError`: 403 for `/`, 406 for the one that this handle is in.
    @discardableResult
    public func deleteVirtualHost(_ name: VirtualHostName) async throws -> Int {
        try await count(.deleteVirtualHost(name))
    }

    /// Says what a virtual host may have at most, in the place of what was said before; what it has already, it keeps.
    ///
    /// - Throws: a `BrokerError`: 404 when it isn't there, 406 for a negative limit.
    public func limitVirtualHost(_ name: VirtualHostName, to limits: VirtualHostLimits) async throws {
        try await change(.limitVirtualHost(name, limits))
    }

    /// The virtual hosts whose names match `pattern` (`*`, `?`), by name; `nil` is all.
    public func virtualHosts(matching pattern: String? = nil) async throws -> [VirtualHostInfo] {
        try await pages(of: .list(.virtualHosts, match: pattern)) {
            if case .virtualHosts(let rows) = $0 { rows } else { nil }
        }
    }
}
