import KeyValue

/// How long the texts of lists, sets, sorted sets and streams are, counted where they are: only numbers leave
/// the server. It counts what `Rendering` writes; a test holds the two together.
enum TextSizeScript {
    /// Many keys, or one part of one. Nothing is changed (EVAL_RO).
    ///
    /// KEYS: lists, sets, sorted sets, streams. ARGV: `text` or `json`; most elements, then most bytes of
    /// memory, to be looked at; most elements of what is counted at all. Answer: for each key, as many as
    /// could be looked at but one at least: its size, 0 for any other type, or {elements, bytes of memory}
    /// when it has to be counted in parts.
    ///
    /// With a fourth argument, the type, and a fifth, where to begin (an index, a cursor of SSCAN, an id as
    /// of XRANGE): one part of one key, of so many elements. Answer: size, elements, where to go on or an
    /// empty string.
    ///
    /// A size of -1: elements so much larger than the others that they are not looked at.
    static let text = Bytes(
        #"""
        local json, budget, heap = ARGV[1] == 'json', tonumber(ARGV[2]), tonumber(ARGV[3])
        local call, find, gsub = redis.call, string.find, string.gsub
        local function without(text, set) return (gsub(text, set, '')) end

        -- RFC 3629. What is well-formed becomes a dot; without it, its neighbours would be joined.
        local function isUTF8(text)
          local rest = gsub(text, '[%z\1-\127]+', '.')
          for _, well in ipairs({'[\194-\223][\128-\191]',
            '[\225-\236\238\239][\128-\191][\128-\191]', '\224[\160-\191][\128-\191]',
            '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
            '[\241-\243][\128-\191][\128-\191][\128-\191]',
            '\244[\128-\143][\128-\191][\128-\191]'}) do
            if find(rest, '^%.*$') then return true end
            rest = gsub(rest, well, '.')
          end
          return find(rest, '^%.*$') ~= nil
        end

        local left
        local function element(text)
          left = left - #text
          if left < 0 then return 0 end
          if not json then
            if not find(text, '\\', 1, true) and not find(text, '\n', 1, true) then return #text end
            return #text + #without(text, '[^\\\n]+')
          end
          if find(text, '^[ !#-[%]^-\127]*$') then return #text + 2 end
          if not isUTF8(text) then return 13 + math.ceil(#text / 3) * 4 end
          local marked = without(text, '[ !#-[%]^-\255]+')
          return #text + 2 + #marked + 4 * #without(marked, '["\\]+')
        end

        local function member(text, score)
          if not json then return element(text) + #score + 1 end
          return element(text) + #score + (find(score, '^[0-9+%-.eE]*$') and 20 or 22)
        end

        local function entry(id, words)
          local size = json and 19 + element(id) + 2 * #words or #id
          for _, word in ipairs(words) do
            size = size + element(word)
            if not json then
              size = size + 1 + (find(word, '\t', 1, true) and #without(word, '[^\t]+') or 0)
            end
          end
          return json and #words > 0 and size - 1 or size
        end

        local function part(key, kind, from, page)
          local size, number, next = 0, 0, ''
          left = 16 * tonumber(ARGV[3])
          if kind == 'list' then
            for _, text in ipairs(call('LRANGE', key, from, from + page - 1)) do
              size, number = size + element(text), number + 1
            end
          elseif kind == 'zset' then
            local all = call('ZRANGE', key, from, from + page - 1, 'WITHSCORES')
            for i = 1, #all, 2 do
              size, number = size + member(all[i], all[i + 1]), number + 1
            end
          elseif kind == 'set' then
            local all = from and call('SSCAN', key, from, 'COUNT', page)
              or {'0', call('SMEMBERS', key)}
            for _, text in ipairs(all[2]) do size, number = size + element(text), number + 1 end
            if all[1] ~= '0' then next = all[1] end
          else
            for _, pair in ipairs(call('XRANGE', key, from, '+', 'COUNT', page)) do
              size, number, next = size + entry(pair[1], pair[2]), number + 1, '(' .. pair[1]
            end
            if number < page then next = '' end
          end
          if (kind == 'list' or kind == 'zset') and number == page then
            next = string.format('%d', from + page)
          end
          return left < 0 and -1 or size + number * (json and 2 or 1), number, next
        end

        if ARGV[5] then return {part(KEYS[1], ARGV[4], ARGV[5], budget)} end
        local lengths = {list = 'LLEN', zset = 'ZCARD', set = 'SCARD', stream = 'XLEN'}
        local sizes = {}
        for i, key in ipairs(KEYS) do
          local kind = call('TYPE', key).ok
          local length = lengths[kind] and call(lengths[kind], key)
          if not length then
            sizes[i] = 0
          else
            local bytes = -1
            if length <= tonumber(ARGV[4]) then
              bytes = call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
            end
            if length > tonumber(ARGV[2]) or bytes > tonumber(ARGV[3]) then
              sizes[i] = {length, bytes}
            else
              -- A look at a key takes as long as one at four elements.
              budget, heap = budget - length - 4, heap - bytes
              if i > 1 and (budget < 0 or heap < 0) then return sizes end
              local first = ({list = 0, zset = 0, stream = '-'})[kind]
              local size = part(key, kind, first, length + 1)
              sizes[i] = json and size >= 0 and size + 3 or size
            end
          end
        end
        return sizes
        """#.utf8)
}
