extension Script {
    /// The dependent read.
    ///
    /// KEYS[1] a hash; ARGV: field · prefix.
    /// Answer: { value or nil, fields and values of the hash `prefix .. digits` }.
    static let follow = Script(
        """
        local value = redis.call('HGET', KEYS[1], ARGV[1])
        if not value then return {false, {}} end
        return {value, redis.call('HGETALL', ARGV[2] .. string.match(value, '^%d*'))}
        """)

    /// A page of a hash and, unless it is large, the hashes that its values name: a script is the only
    /// way to read both in one trip, and the dearest to read much. A walk of a hash that has shrunk
    /// meets empty places; it goes on until it has something or is at the end.
    ///
    /// KEYS[1] a hash; ARGV: cursor · about how many fields · prefix · fields of the largest page to follow.
    /// Answer: { next cursor, fields and values, { fields and values of each target } or nil }.
    static let followPage = Script(
        """
        local cursor, page = ARGV[1], nil
        repeat
          local found = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', ARGV[2])
          cursor, page = found[1], found[2]
        until #page > 0 or cursor == '0'
        if #page / 2 > ARGV[4] + 0 then return {cursor, page, false} end
        local targets = {}
        for i = 2, #page, 2 do
          targets[i / 2] = redis.call('HGETALL', ARGV[3] .. string.match(page[i], '^%d*'))
        end
        return {cursor, page, targets}
        """)
}
