/// Stored numbers in Lua. They are compared as text and checked before they are added to, because numbers in
/// Lua lose precision beyond 2^53.
enum LuaNumbers {
    /// `raised`: the greater of a stored number (false: none) and another one; nil when what is stored is
    /// no signed 64-bit number.
    /// `summed`: a stored number and another one added, as text; nil when that is none, or a sum is beyond
    /// ±2^53.
    static let functions = """
        local call, match, format = redis.call, string.match, string.format
        local function digitsOf(old)
          local digits = old == '0' and old or match(old, '^-?([1-9]%d*)$')
          if not digits or #digits > 19 then return nil end
          if #digits == 19 and digits > '9223372036854775807'
            and old ~= '-9223372036854775808' then return nil end
          return digits
        end
        local function raised(old, new)
          if not old or old == new then return new end
          if not digitsOf(old) then return nil end
          local oldSign, newSign = string.byte(old) == 45, string.byte(new) == 45
          local less
          if oldSign ~= newSign then
            less = oldSign
          else
            less = #old < #new or #old == #new and old < new
            if oldSign then less = not less end
          end
          return less and new or old
        end
        local function summed(old, by)
          local number = 0
          if old then
            local digits = digitsOf(old)
            if not digits or #digits > 16
              or #digits == 16 and digits > '9007199254740992' then return nil end
            number = old + 0
          end
          by = by + 0
          if by > 0 and number > 9007199254740992 - by
            or by < 0 and number < -9007199254740992 - by then return nil end
          return format('%.0f', number + by)
        end

        """
}
