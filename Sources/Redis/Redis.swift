// The store on a Redis server: connections, pipelining, reconnection, scripts, subscriptions.
//
// `RedisStore` is the way in; RedisConnection is the only file that speaks to hiredis, CommandBuffer and
// ReplyReader are the codec of the hot lanes. Nothing here knows files.
//
// Invariants:
//  1. Replies are matched to commands by order alone, so a connection on which anything unexpected
//     happened is never used again.
//  2. Memory lent by a caller (payloads, destinations) is touched only while that caller waits: an
//     exchange is given back to it once neither the writer nor the reader of its lane can touch it.
//  3. What is sent again is either idempotent or carries a batch id. Before a lane mutates anything
//     after a connection was lost, the server is told to end that connection, so that nothing that still
//     waits in its buffers happens later ("zombies").
//  4. Every wait ends by the deadline of the exchange that waits.
