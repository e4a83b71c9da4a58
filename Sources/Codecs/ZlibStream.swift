import CZlib
import Primitives

/// zlib streams (zlib.h, RFC 1950) into lent memory. The streams' own memory (268 KiB for deflating,
/// 7 to 40 KiB for inflating) is kept in a pool, because making it costs as much as a small block.
enum ZlibStream {
    /// How many idle streams of each kind are kept: one for each thread that compresses at the same time
    /// on a usual machine. Others are freed after use.
    static let idleLimit = 8

    private static let deflaters = Locked<[Deflater]>([])
    private static let inflaters = Locked<[Inflater]>([])

    static func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer,
        level: Int
    ) -> Int? {
        guard source.count <= Int(Int32.max) else { return nil }
        let idle: Deflater? = deflaters.withLock { idle in
            guard let place = idle.lastIndex(where: { $0.level == level }) else { return nil }
            return idle.remove(at: place)
        }
        let deflater = idle ?? Deflater(level: level)
        defer {
            deflaters.withLock { idle in
                // The oldest leaves, so that a level that is no longer used does not stay for ever.
                if idle.count == idleLimit { idle.removeFirst() }
                idle.append(deflater)
            }
        }
        return deflater.compress(source, into: destination)
    }

    static func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard source.count <= Int(Int32.max), target.count <= Int(Int32.max) else { throw .damaged }
        let inflater = inflaters.withLock { idle in idle.popLast() } ?? Inflater()
        defer {
            inflaters.withLock { idle in if idle.count < idleLimit { idle.append(inflater) } }
        }
        try inflater.decompress(source, into: target)
    }
}

/// One deflate stream, used by one thread at a time.
private final class Deflater: @unchecked Sendable {
    let level: Int
    // SAFETY: zlib keeps a pointer to the stream, so it must not move; allocated in init, freed in deinit.
    private let stream: UnsafeMutablePointer<z_stream>

    init(level: Int) {
        self.level = level
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = deflateInit_(
            stream, Int32(level), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib refused a stream (out of memory or another version)")
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    func compress(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) -> Int? {
        guard let output = destination.baseAddress else { return nil }
        deflateReset(stream)
        // SAFETY: zlib reads avail_in bytes at next_in (the pointer is mutable only in its type) and
        // writes at most avail_out at next_out; both are lent for the length of this call.
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(source.count)
        stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
        let capacity = UInt32(clamping: destination.count)
        stream.pointee.avail_out = capacity
        guard deflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return Int(capacity - stream.pointee.avail_out)
    }
}

/// One inflate stream, used by one thread at a time.
private final class Inflater: @unchecked Sendable {
    // SAFETY: as for `Deflater`.
    private let stream: UnsafeMutablePointer<z_stream>

    init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = inflateInit_(stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib refused a stream (out of memory or another version)")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func decompress(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard let input = source.baseAddress else { throw .damaged }
        inflateReset(stream)
        // zlib wants an address even when nothing may be written.
        var nothing: UInt8 = 0
        // SAFETY: avail_in and avail_out bound what zlib touches; all three buffers outlive the call.
        let result = withUnsafeMutablePointer(to: &nothing) { placeholder in
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: input.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = UInt32(source.count)
            stream.pointee.next_out =
                target.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? placeholder
            stream.pointee.avail_out = UInt32(target.count)
            return inflate(stream, Z_FINISH)
        }
        // Z_BUF_ERROR: longer than the target, or cut short.
        guard result == Z_STREAM_END, stream.pointee.avail_in == 0 else { throw .damaged }
        let found = target.count - Int(stream.pointee.avail_out)
        guard found == target.count else {
            throw .wrongLength(expected: target.count, found: found)
        }
    }
}
