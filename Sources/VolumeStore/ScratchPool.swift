import Primitives

/// Buffers of one block size each, for compressing and merging.
final class ScratchPool: Sendable {
    /// Buffers kept for the next use; more are made when more threads work at once, and freed after.
    private static let keptBuffers = 16

    private struct Kept: @unchecked Sendable {
        // SAFETY: only a buffer that nobody was lent stands here.
        var buffers: [UnsafeMutableRawBufferPointer] = []
    }

    let bufferBytes: Int
    private let kept = Locked(Kept())

    init(bufferBytes: Int) { self.bufferBytes = bufferBytes }

    deinit {
        kept.withLock { for buffer in $0.buffers { buffer.deallocate() } }
    }

    func take() -> UnsafeMutableRawBufferPointer {
        kept.withLock { $0.buffers.popLast() }
            ?? .allocate(byteCount: bufferBytes, alignment: 64)
    }

    func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
        let isKept = kept.withLock { kept in
            guard kept.buffers.count < Self.keptBuffers else { return false }
            kept.buffers.append(buffer)
            return true
        }
        if !isKept { buffer.deallocate() }
    }
}
