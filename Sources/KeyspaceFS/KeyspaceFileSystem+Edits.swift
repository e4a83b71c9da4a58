import FileSystem
import KeyValue
import Logging
import Primitives

// Values that are open for writing.
extension KeyspaceFileSystem {
    /// The edit of a place, if somebody has it open for writing here.
    func edit(of place: Place) -> EditSession? { edits.withLock { $0[place]?.session } }

    /// Joins the edit of a place, or begins one. The caller ends it once.
    func beginEdit(of place: Place, truncating: Bool) throws(Errno) -> EditSession {
        let session = edits.withLock { edits in
            var edit =
                edits[place]
                ?? OpenEdit(
                    session: EditSession(
                        place, store: store, pool: sessions, options: options, own: own,
                        logger: logger), handles: 0)
            edit.handles += 1
            edits[place] = edit
            return edit.session
        }
        do throws(Errno) {
            try session.begin(truncating: truncating)
        } catch {
            endEdit(of: session)
            throw error
        }
        return session
    }

    func endEdit(of session: EditSession) {
        let isLast = edits.withLock { edits -> Bool in
            guard let (place, edit) = edits.first(where: { $0.value.session === session }) else {
                return false
            }
            guard edit.handles == 1 else {
                edits[place]?.handles -= 1
                return false
            }
            edits[place] = nil
            return true
        }
        if isLast { session.end() }
    }

    func isOnlyUser(of session: EditSession) -> Bool {
        edits.withLock { edits in
            edits.contains { $0.value.session === session && $0.value.handles == 1 }
        }
    }

    /// The edit of a place is one of another place, or of none, from now on.
    func renameEdit(_ place: Place, to new: Place?) {
        edits.withLock { edits in
            guard let edit = edits.removeValue(forKey: place) else { return }
            if let new { edits[new] = edit }
        }
    }

    /// Stores what has waited long enough; for the thread that does so now and then.
    func flushOldEdits() {
        for edit in edits.withLock({ Array($0.values) }) {
            do throws(Errno) {
                try edit.session.flush(olderThanMilliseconds: options.flushIntervalMilliseconds)
            } catch {
                logger.debug("not stored yet", metadata: ["error": "\(error)"])
            }
        }
    }
}
