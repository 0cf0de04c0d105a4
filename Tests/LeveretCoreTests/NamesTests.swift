import Testing

@testable import LeveretCore

@Suite struct NamesTests {
    @Test func `the default exchange has an empty name`() {
        #expect(ExchangeName.default == "")
    }
}
