// Module Redis.
