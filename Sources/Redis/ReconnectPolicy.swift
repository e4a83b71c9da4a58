/// Decides when the next attempt to connect is made: at once after a loss, then after 10 ms, doubling
/// to at most 50 ms, so that service returns within 100 ms of the server's.
struct ReconnectPolicy: Equatable {
    static let firstPauseMilliseconds = 10
    static let longestPauseMilliseconds = 50

    private var nextPauseMilliseconds = 0

    /// The pause before the next attempt.
    mutating func pauseMilliseconds() -> Int {
        defer {
            nextPauseMilliseconds =
                nextPauseMilliseconds == 0
                ? Self.firstPauseMilliseconds
                : min(nextPauseMilliseconds * 2, Self.longestPauseMilliseconds)
        }
        return nextPauseMilliseconds
    }

    mutating func didConnect() { nextPauseMilliseconds = 0 }
}
