/// What the store holds under a block's key, as far as somebody knows.
public enum StoredForm: Hashable, Sendable {
    case unknown
    /// Nothing: a hole.
    case absent
    /// The bytes themselves, which can be patched in place.
    case raw
    /// Compressed: it can only be replaced whole.
    case packed
}

/// A block to be loaded, and where to.
public struct BlockRequest: @unchecked Sendable {
    public var address: BlockAddress
    /// One block size of bytes.
    // SAFETY: lent for the length of the call that the request is passed to; nobody else touches it.
    public var memory: UnsafeMutableRawBufferPointer

    public init(address: BlockAddress, memory: UnsafeMutableRawBufferPointer) {
        self.address = address
        self.memory = memory
    }
}
