/// Suggests the word that somebody may have meant.
enum Spelling {
    /// The candidate with the fewest differing letters, if they are at most a third of the word.
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let limit = max(1, word.count / 3)
        return candidates.map { (distance(word, $0), $0) }.filter { $0.0 <= limit }
            .min { $0 < $1 }?.1
    }

    /// Levenshtein's distance: insertions, deletions and substitutions.
    static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var row = Array(0...right.count)
        for (line, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = line + 1
            for (column, other) in right.enumerated() {
                let substituted = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(substituted, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
