import Glibc
import KeyValue
import Primitives

/// Where a `ReplyReader` gets its bytes.
protocol ByteSource: AnyObject {
    /// Waits for bytes and puts them into `first`, and what comes behind them into `second`; returns
    /// how many came, at least 1.
    func receive(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) throws(LinkFailure) -> Int
}

/// Takes RESP2 replies out of a stream of bytes. Payloads of blocks go straight from the source to their
/// destination. Nothing is allocated because a reply claims a size; memory grows with what has come.
final class ReplyReader {
    private static let bufferBytes = 1 << 16
    /// Longer lines are no reply of a server.
    private static let maximumLineBytes = 1 << 14
    /// Redis' own limit for a string (proto-max-bulk-len).
    private static let maximumBulkBytes = 512 << 20
    private static let maximumElements = 1 << 24
    private static let maximumDepth = 8
    /// How much is allocated for a string before its bytes come.
    private static let bulkStepBytes = 1 << 20
    /// Before a large block's payload only this much is read, so that the rest goes to its destination
    /// without a copy: the line with its length, its header, and the end of the block before it.
    private static let preludeBytes = 64
    /// From this size on a destination is read into directly; below, copying costs less than a call.
    private static let directBytes = 16 << 10

    private let source: any ByteSource
    // SAFETY: allocated in init, freed in deinit; bytes between start and end have been received.
    private let memory: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private(set) var receivedBytes: UInt64 = 0

    init(source: any ByteSource) {
        self.source = source
        memory = .allocate(byteCount: Self.bufferBytes, alignment: 64)
    }

    deinit { memory.deallocate() }

    /// Whether bytes have come that no reply has been made of.
    var hasBytes: Bool { start < end }

    func readReply() throws(LinkFailure) -> Reply {
        try readReply(depth: 0, limit: Self.bufferBytes)
    }

    /// Reads the reply to a GET into a block: the header apart, the payload to `destination`.
    func readBlock(
        into destination: UnsafeMutableRawBufferPointer
    ) throws(LinkFailure) -> Result<BlockLoadAnswer, BlockRefusal> {
        let limit = destination.count >= Self.directBytes ? Self.preludeBytes : Self.bufferBytes
        let line = try readLine(limit: limit)
        guard memory[line.lowerBound] == UInt8(ascii: "$") else {
            let text = Bytes(memory[line.dropFirst()])
            guard memory[line.lowerBound] == UInt8(ascii: "-") else {
                throw .malformedReply("no string where a block was asked for")
            }
            return .failure(BlockRefusal(text: text))
        }
        let byteCount = try number(in: line.dropFirst(), limit: Self.maximumBulkBytes)
        if byteCount < 0 { return .success(.absent) }
        if byteCount < BlockHeader.byteCount {
            _ = try readBytes(byteCount)
            try readLineEnd(limit: limit)
            return .success(.tooShort)
        }
        try fill(BlockHeader.byteCount, limit: limit)
        let header = InlineBlockHeader(
            low: UInt64(littleEndian: memory.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
            high: UInt64(
                littleEndian: memory.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self)))
        start += BlockHeader.byteCount
        let payloadBytes = byteCount - BlockHeader.byteCount
        guard payloadBytes <= destination.count else {
            try skip(payloadBytes)
            try readLineEnd(limit: limit)
            return .success(.tooLong(payloadBytes: payloadBytes))
        }
        try read(into: UnsafeMutableRawBufferPointer(rebasing: destination[..<payloadBytes]), limit)
        try readLineEnd(limit: limit)
        return .success(.loaded(header: header, payloadBytes: payloadBytes))
    }

    /// Reads the reply to a HGETALL to the end of `list`; returns the error if it is one.
    func readHash(into list: inout HashList) throws(LinkFailure) -> BlockRefusal? {
        let line = try readLine(limit: Self.bufferBytes)
        guard memory[line.lowerBound] == UInt8(ascii: "*") else {
            guard memory[line.lowerBound] == UInt8(ascii: "-") else {
                throw .malformedReply("no hash where one was asked for")
            }
            return BlockRefusal(text: Bytes(memory[line.dropFirst()]))
        }
        let count = try number(in: line.dropFirst(), limit: Self.maximumElements)
        guard count >= 0, count.isMultiple(of: 2) else {
            throw .malformedReply("a hash with a field that has no value")
        }
        for _ in 0..<count { try readWord(into: &list) }
        list.endHash()
        return nil
    }

    private func readWord(into list: inout HashList) throws(LinkFailure) {
        let line = try readLine(limit: Self.bufferBytes)
        guard memory[line.lowerBound] == UInt8(ascii: "$") else {
            throw .malformedReply("no string where a hash has one")
        }
        var left = try number(in: line.dropFirst(), limit: Self.maximumBulkBytes)
        guard left >= 0 else { throw .malformedReply("nothing where a hash has a string") }
        while left > 0 {
            if start == end { try receiveMore(limit: Self.bufferBytes) }
            let step = min(left, end - start)
            list.append(UnsafeRawBufferPointer(rebasing: memory[start..<start + step]))
            start += step
            left -= step
        }
        list.endWord()
        try readLineEnd(limit: Self.bufferBytes)
    }

    private func readReply(depth: Int, limit: Int) throws(LinkFailure) -> Reply {
        let line = try readLine(limit: limit)
        let rest = line.dropFirst()
        switch memory[line.lowerBound] {
        case UInt8(ascii: "+"): return .simple(Bytes(memory[rest]))
        case UInt8(ascii: "-"): return .error(Bytes(memory[rest]))
        case UInt8(ascii: ":"): return .integer(try integer(in: rest))
        case UInt8(ascii: "$"):
            let byteCount = try number(in: rest, limit: Self.maximumBulkBytes)
            if byteCount < 0 { return .null }
            let bytes = try readBytes(byteCount)
            try readLineEnd(limit: limit)
            return .bulk(bytes)
        case UInt8(ascii: "*"):
            let count = try number(in: rest, limit: Self.maximumElements)
            if count < 0 { return .null }
            guard depth < Self.maximumDepth else { throw .malformedReply("nested too deeply") }
            var elements: [Reply] = []
            elements.reserveCapacity(min(count, 1_024))
            for _ in 0..<count { elements.append(try readReply(depth: depth + 1, limit: limit)) }
            return .array(elements)
        default: throw .malformedReply("unknown type of reply")
        }
    }

    /// The positions of the next line, without its end, in `memory`; valid until the next read.
    private func readLine(limit: Int) throws(LinkFailure) -> Range<Int> {
        var searched = 0
        while true {
            if let base = memory.baseAddress, end > start + searched,
                let found = memchr(base + start + searched, 10, end - start - searched)
            {
                let position = UnsafeRawPointer(found) - UnsafeRawPointer(base)
                guard position > start + 1, memory[position - 1] == UInt8(ascii: "\r") else {
                    throw .malformedReply("a line that does not end as lines do")
                }
                defer { start = position + 1 }
                return start..<position - 1
            }
            searched = end - start
            guard searched < Self.maximumLineBytes else { throw .malformedReply("endless line") }
            try receiveMore(limit: limit)
        }
    }

    private func readLineEnd(limit: Int) throws(LinkFailure) {
        try fill(2, limit: limit)
        guard memory[start] == UInt8(ascii: "\r"), memory[start + 1] == UInt8(ascii: "\n") else {
            throw .malformedReply("a string that does not end where it says")
        }
        start += 2
    }

    private func readBytes(_ count: Int) throws(LinkFailure) -> Bytes {
        var result = Bytes()
        while result.count < count {
            let step = min(count - result.count, Self.bulkStepBytes)
            var failure: LinkFailure?
            let piece = Bytes(unsafeUninitializedCapacity: step) { buffer, filled in
                do throws(LinkFailure) {
                    try read(into: UnsafeMutableRawBufferPointer(buffer), Self.bufferBytes)
                    filled = step
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            if piece.count == count { return piece }
            result += piece
        }
        return result
    }

    private func skip(_ count: Int) throws(LinkFailure) {
        var left = count
        while left > 0 {
            if start == end { try receiveMore(limit: Self.bufferBytes) }
            let step = min(left, end - start)
            start += step
            left -= step
        }
    }

    /// Fills `destination`: first with what has come already, then straight from the source.
    private func read(
        into destination: UnsafeMutableRawBufferPointer, _ limit: Int
    ) throws(LinkFailure) {
        var filled = min(destination.count, end - start)
        destination.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: memory[start..<start + filled]))
        start += filled
        while filled < destination.count {
            // Everything buffered has been taken, so the buffer is free for what comes behind.
            start = 0
            end = 0
            let rest = UnsafeMutableRawBufferPointer(rebasing: destination[filled...])
            let received = try source.receive(
                into: rest,
                then: UnsafeMutableRawBufferPointer(rebasing: memory[..<min(limit, memory.count)]))
            receivedBytes &+= UInt64(received)
            let taken = min(received, rest.count)
            filled += taken
            end = received - taken
        }
    }

    /// Waits until `count` bytes are buffered; `count` is far smaller than the buffer.
    private func fill(_ count: Int, limit: Int) throws(LinkFailure) {
        while end - start < count { try receiveMore(limit: limit) }
    }

    private func receiveMore(limit: Int) throws(LinkFailure) {
        if start == end {
            start = 0
            end = 0
        } else if end > memory.count / 2 {
            let kept = UnsafeRawBufferPointer(rebasing: memory[start..<end])
            memory.copyMemory(from: kept)
            end -= start
            start = 0
        }
        let room = UnsafeMutableRawBufferPointer(
            rebasing: memory[end..<min(memory.count, end + limit)])
        let received = try source.receive(
            into: room, then: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        receivedBytes &+= UInt64(received)
        end += received
    }

    private func integer(in range: Range<Int>) throws(LinkFailure) -> Int64 {
        guard let value = Int64(decimal: memory[range]) else {
            throw .malformedReply("a number that is none")
        }
        return value
    }

    private func number(in range: Range<Int>, limit: Int) throws(LinkFailure) -> Int {
        let value = try integer(in: range)
        guard value >= -1, value <= Int64(limit) else {
            throw .malformedReply("a length beyond all bounds")
        }
        return Int(value)
    }
}

/// An error reply where a block or a hash was asked for.
struct BlockRefusal: Error, Hashable {
    let text: Bytes
}
