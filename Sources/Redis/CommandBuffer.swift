import KeyValue

/// Commands in RESP2, encoded one after another into memory that is used again for the next ones.
/// Payloads are not copied: their place in the stream is noted, and they are sent from where they are.
final class CommandBuffer {
    /// A payload that is sent from the caller's memory, behind the first `position` encoded bytes.
    struct Payload {
        let position: Int
        // SAFETY: lent by the caller of the store until its exchange is over.
        let bytes: UnsafeRawBufferPointer
    }

    /// Below this a copy costs less than another piece of a gather write.
    static let smallestLentPayloadBytes = 512

    /// Memory beyond this is given back when the buffer is cleared.
    private static let keptBytes = 1 << 16

    // SAFETY: allocated in init and grow, freed in deinit; bytes below `count` are initialized.
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0
    private(set) var payloads: [Payload] = []
    /// How many commands have been begun, each of which gets one reply.
    private(set) var commandCount = 0
    private var missingArguments = 0

    init(capacity: Int = 1_024) {
        self.capacity = capacity
        memory = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// How many bytes go to the server.
    var totalBytes: Int { payloads.reduce(count) { $0 + $1.bytes.count } }

    func clear() {
        count = 0
        commandCount = 0
        payloads.removeAll(keepingCapacity: true)
        precondition(missingArguments == 0, "a command was not finished")
        guard capacity > Self.keptBytes else { return }
        memory.deallocate()
        capacity = Self.keptBytes
        memory = .allocate(byteCount: capacity, alignment: 8)
    }

    /// Begins a command of `arguments` words, its name included; that many have to follow.
    func begin(_ name: StaticString, arguments: Int) {
        begin(arguments: arguments)
        add(name)
    }

    func begin(_ name: Bytes, arguments: Int) {
        begin(arguments: arguments)
        add(name)
    }

    private func begin(arguments: Int) {
        precondition(missingArguments == 0, "a command was not finished")
        commandCount += 1
        missingArguments = arguments
        reserve(32)
        put(UInt8(ascii: "*"))
        putDecimal(UInt64(arguments))
        putLineEnd()
    }

    func add(_ word: StaticString) {
        word.withUTF8Buffer { add(UnsafeRawBufferPointer($0)) }
    }

    func add(_ word: Bytes) { word.withUnsafeBytes { add($0) } }

    func add(_ word: String) {
        var word = word
        word.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    func add(_ word: UnsafeRawBufferPointer) {
        beginWord(word.count)
        put(word)
        putLineEnd()
    }

    func add(_ number: Int) { add(Int64(number)) }

    func add(_ number: Int64) {
        let magnitude = number.magnitude
        let digits = Self.digits(of: magnitude)
        beginWord(number < 0 ? digits + 1 : digits)
        if number < 0 { put(UInt8(ascii: "-")) }
        putDecimal(magnitude)
        putLineEnd()
    }

    func add(_ number: UInt64) {
        beginWord(Self.digits(of: number))
        putDecimal(number)
        putLineEnd()
    }

    /// A word of a letter in front of other bytes.
    func add(_ letter: UInt8, followedBy word: Bytes) {
        beginWord(word.count + 1)
        put(letter)
        word.withUnsafeBytes { put($0) }
        putLineEnd()
    }

    func add(_ header: InlineBlockHeader) {
        beginWord(BlockHeader.byteCount)
        put(header)
        putLineEnd()
    }

    /// A word that is a payload, behind a header if there is one. It is sent from where it stands.
    func add(_ header: InlineBlockHeader?, payload: UnsafeRawBufferPointer) {
        beginWord((header == nil ? 0 : BlockHeader.byteCount) + payload.count)
        if let header { put(header) }
        if payload.count < Self.smallestLentPayloadBytes {
            put(payload)
        } else {
            payloads.append(Payload(position: count, bytes: payload))
        }
        putLineEnd()
    }

    private func beginWord(_ byteCount: Int) {
        precondition(missingArguments > 0, "more words than the command was begun with")
        missingArguments -= 1
        reserve(32)
        put(UInt8(ascii: "$"))
        putDecimal(UInt64(byteCount))
        putLineEnd()
    }

    private func put(_ header: InlineBlockHeader) {
        reserve(BlockHeader.byteCount)
        memory.storeBytes(of: header.low.littleEndian, toByteOffset: count, as: UInt64.self)
        memory.storeBytes(of: header.high.littleEndian, toByteOffset: count + 8, as: UInt64.self)
        count += BlockHeader.byteCount
    }

    private func put(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        (memory + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    private func put(_ byte: UInt8) {
        reserve(1)
        memory.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    private func putLineEnd() {
        reserve(2)
        memory.storeBytes(of: UInt8(ascii: "\r"), toByteOffset: count, as: UInt8.self)
        memory.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: count + 1, as: UInt8.self)
        count += 2
    }

    private func putDecimal(_ value: UInt64) {
        let digits = Self.digits(of: value)
        reserve(digits)
        var rest = value
        for position in stride(from: count + digits - 1, through: count, by: -1) {
            let digit = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            memory.storeBytes(of: digit, toByteOffset: position, as: UInt8.self)
            rest /= 10
        }
        count += digits
    }

    private static func digits(of value: UInt64) -> Int {
        var digits = 1
        var rest = value
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        return digits
    }

    private func reserve(_ more: Int) {
        guard count + more > capacity else { return }
        let wanted = max(capacity * 2, count + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 8)
        larger.copyMemory(from: memory, byteCount: count)
        memory.deallocate()
        memory = larger
        capacity = wanted
    }
}
