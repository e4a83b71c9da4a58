// What module Redis decides is tested with plain values; what it does, against servers of the tests' own,
// which are killed, paused and restarted under it.
