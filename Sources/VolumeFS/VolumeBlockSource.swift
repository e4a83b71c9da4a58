import Cache
import Primitives
import VolumeStore

/// Lets the block cache load from the volume.
final class VolumeBlockSource: BlockSource {
    private let store: VolumeStore

    init(store: VolumeStore) { self.store = store }

    func load(_ requests: [BlockRequest]) throws(Errno) -> [StoredForm] {
        try store.load(requests)
    }
}
