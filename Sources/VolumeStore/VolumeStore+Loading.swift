import Codecs
import KeyValue
public import Primitives
import Telemetry

extension VolumeStore {
    /// Fills each request's memory with the whole block (zeros behind what is stored), in one trip, and
    /// says what was found. EIO when a frame cannot be right.
    public func load(_ requests: [BlockRequest]) throws(Errno) -> [StoredForm] {
        let loaded = try loadFrames(requests)
        return loaded.map { $0.form }
    }

    /// One block as it was found.
    struct LoadedBlock {
        var form: StoredForm
        /// `nil` when it is absent.
        var header: InlineBlockHeader?
        /// Bytes that the frame holds, before the zeros.
        var contentBytes: Int
    }

    func loadFrames(_ requests: [BlockRequest]) throws(Errno) -> [LoadedBlock] {
        guard !requests.isEmpty else { return [] }
        let loads = requests.map { request in
            precondition(
                request.memory.count == settings.blockSize.bytes, "memory of one block size")
            return BlockLoad(key: schema.block(request.address), destination: request.memory)
        }
        let answers = try translated { () throws(StoreError) in try store.load(loads) }
        precondition(answers.count == requests.count, "a store answers each request")
        guard answers.count(where: \.isPacked) > 1 else {
            var blocks: [LoadedBlock] = []
            blocks.reserveCapacity(requests.count)
            for (load, answer) in zip(loads, answers) {
                blocks.append(try unpack(load, answer))
            }
            return blocks
        }
        return try unpackTogether(loads, answers)
    }

    /// Several of them have to be decompressed.
    private func unpackTogether(
        _ loads: [BlockLoad], _ answers: [BlockLoadAnswer]
    ) throws(Errno) -> [LoadedBlock] {
        var results = [Result<LoadedBlock, Errno>](
            repeating: .failure(.ioError), count: loads.count)
        results.withUnsafeMutableBufferPointer { results in
            // SAFETY: each round writes its own result and its own block's memory, and all have ended when
            // `run` returns.
            nonisolated(unsafe) let results = results
            packers.run(loads.count) { index in
                results[index] = Result { () throws(Errno) in
                    try unpack(loads[index], answers[index])
                }
            }
        }
        var blocks: [LoadedBlock] = []
        blocks.reserveCapacity(loads.count)
        for result in results { blocks.append(try result.get()) }
        return blocks
    }

    private func unpack(_ load: BlockLoad, _ answer: BlockLoadAnswer) throws(Errno) -> LoadedBlock {
        switch answer {
        case .absent:
            load.destination.zero(from: 0)
            return LoadedBlock(form: .absent, header: nil, contentBytes: 0)
        case .tooShort: throw malformed(load.key, "a block without a whole frame")
        case .tooLong(let bytes): throw malformed(load.key, "a block of \(bytes) bytes")
        case .wrongKind: throw malformed(load.key, "a block that is no string")
        case .loaded(let header, let payloadBytes):
            do throws(FormatError) {
                let frame = try BlockFrame(
                    parsing: header, payloadBytes: payloadBytes,
                    blockBytes: settings.blockSize.bytes)
                switch frame.content {
                case .raw:
                    load.destination.zero(from: payloadBytes)
                    return LoadedBlock(form: .raw, header: header, contentBytes: payloadBytes)
                case .packed(let codec, let originalBytes, let checksum):
                    try decompress(
                        load.destination, payloadBytes, codec: codec,
                        originalBytes: originalBytes, checksum: checksum)
                    load.destination.zero(from: originalBytes)
                    return LoadedBlock(form: .packed, header: header, contentBytes: originalBytes)
                }
            } catch {
                throw malformed(load.key, error.what)
            }
        }
    }

    /// Replaces the compressed bytes at the start of `memory` by what they decompress to.
    private func decompress(
        _ memory: UnsafeMutableRawBufferPointer, _ payloadBytes: Int, codec: UInt8,
        originalBytes: Int, checksum: UInt32
    ) throws(FormatError) {
        // SAFETY: payloadBytes < originalBytes <= block size (BlockFrame), which is the size of both
        // buffers; the scratch buffer is this call's own until it is given back.
        let buffer = scratch.take()
        defer { scratch.giveBack(buffer) }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<payloadBytes]))
        let packed = UnsafeRawBufferPointer(rebasing: buffer[..<payloadBytes])
        guard Checksum.crc32(packed) == checksum else {
            throw FormatError("a block whose checksum is wrong")
        }
        let content = UnsafeMutableRawBufferPointer(rebasing: memory[..<originalBytes])
        do {
            try Codec.decompress(
                identifier: codec, packed, into: content, expecting: originalBytes)
        } catch {
            throw FormatError("a block that does not decompress")
        }
    }
}

extension BlockLoadAnswer {
    /// Whether it claims to be compressed; what it claims is judged by `BlockFrame`.
    fileprivate var isPacked: Bool {
        guard case .loaded(let header, _) = self else { return false }
        return header.low >> 24 & 0xFF != 0
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Fills with zeros from `position` to the end.
    func zero(from position: Int) {
        guard position < count else { return }
        UnsafeMutableRawBufferPointer(rebasing: self[position...]).initializeMemory(
            as: UInt8.self, repeating: 0)
    }
}
