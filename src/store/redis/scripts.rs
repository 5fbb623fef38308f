//! What Redis does in one step. Each script touches one shard only, so that it runs on a Cluster.

use std::sync::OnceLock;

use redis::{Cmd, cmd};

/// A script, and the hash by which a server that has run it before knows it.
pub struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    /// A call with these keys and arguments.
    pub fn call(
        &'static self,
        keys: impl Into<Vec<String>>,
        arguments: impl Into<Vec<String>>,
    ) -> Call {
        Call {
            script: self,
            keys: keys.into(),
            arguments: arguments.into(),
        }
    }
}

/// A call of a script.
pub struct Call {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Call {
    /// By hash: a fraction of the text.
    pub fn by_hash(&self) -> Cmd {
        let hash = || redis::Script::new(self.script.code).get_hash().to_owned();
        self.with("EVALSHA", self.script.hash.get_or_init(hash))
    }

    /// With the text, after which the server knows it by its hash.
    pub fn by_text(&self) -> Cmd {
        self.with("EVAL", self.script.code)
    }

    fn with(&self, command: &str, script: &str) -> Cmd {
        let Self {
            keys, arguments, ..
        } = self;
        let mut call = cmd(command);
        call.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        call
    }
}

/// Where the revision stands in the text of a record, behind `{"rev":"`: 11 base62 characters.
pub const REVISION_AT: std::ops::Range<usize> = 8..19;

/// Changes a record if it is still as the caller saw it, and tells the log. What a list of the
/// organization and the audit log say of the change is written in the same step: neither can be
/// without the other. The audit entry goes first: where it cannot be written, nothing is.
///
/// Keys: record, log, list, audit. Arguments: the revision seen (empty: no record), the new text
/// (empty: the record goes), its end in Unix seconds (empty: none), the log's length, the record's
/// name, the channel, the message; then the record as the list names it (empty: it is in none), what
/// the list is ordered by (empty: by the record's end, and what has ended makes room); then the audit
/// entry with its id before it (empty: none), the id before which all are too old, the most entries,
/// for how many seconds the audit is kept. Returns one more than the entries that made room, or 0 for
/// another state. A client that sends it again because the reply got lost is told 1: the state is the
/// one that it wants.
pub static PUT: Script = Script::new(
    r"
local current = redis.call('GET', KEYS[1])
local revision = current and string.sub(current, 9, 19) or ''
if ARGV[2] ~= '' and revision == string.sub(ARGV[2], 9, 19) then return 1 end
if revision ~= ARGV[1] then return 0 end
local over = 0
if ARGV[10] ~= '' then
  redis.call('ZREMRANGEBYLEX', KEYS[4], '-', '(' .. ARGV[11])
  redis.call('ZADD', KEYS[4], 0, ARGV[10])
  over = math.max(redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[12]), 0)
  if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[4], 0, over - 1) end
  redis.call('EXPIRE', KEYS[4], ARGV[13])
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'EXAT', ARGV[3])
end
if ARGV[8] ~= '' then
  if ARGV[2] == '' then
    redis.call('ZREM', KEYS[3], ARGV[8])
  elseif ARGV[9] ~= '' then
    redis.call('ZADD', KEYS[3], ARGV[9], ARGV[8])
  else
    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', redis.call('TIME')[1])
    redis.call('ZADD', KEYS[3], ARGV[3], ARGV[8])
    if redis.call('EXPIRETIME', KEYS[3]) < tonumber(ARGV[3]) then
      redis.call('EXPIREAT', KEYS[3], ARGV[3])
    end
  end
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'changed', ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1 + over
",
);

/// Adds an entry to the audit log. Doing it again changes nothing.
///
/// Keys: audit. Arguments: the last four of [`PUT`]. Returns how many entries made room.
pub static APPEND_AUDIT: Script = Script::new(
    r"
redis.call('ZREMRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[2])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1) else over = 0 end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return over
",
);

/// Registers a node with the position up to which it has read the log, and reads on from there.
///
/// Keys: log, nodes. Arguments: the node, its position (empty: it asks where the log ends), what
/// else the registry is to say of it, the most entries. Returns entries, the one at the position
/// first: where that is missing, the log was cut behind the reader or has another history.
pub static READ_LOG: Script = Script::new(
    r"
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
if ARGV[2] == '' then
  return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
end
return redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', ARGV[4])
",
);

/// Asks every node to read the log now, and to say so, if a record is as the caller saw it.
///
/// Keys: record, log, nodes. Arguments: the revision seen (empty: no record), the log's length,
/// who asks, the channel, the message. Returns the position that a node has to reach, or an empty
/// text for another state, and the registry.
pub static ASK: Script = Script::new(
    r"
local current = redis.call('GET', KEYS[1])
local revision = current and string.sub(current, 9, 19) or ''
if revision ~= ARGV[1] then return {'', {}} end
local position = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'asked', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {position, redis.call('HGETALL', KEYS[3])}
",
);

/// Removes a node from the registry if it has not stirred since it was looked at.
///
/// Keys: nodes. Arguments: the node, what the registry said of it.
pub static FORGET_NODE: Script = Script::new(
    r"
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0
",
);

/// Leaves a node's report of what it has used of the limits, and reads those of all others. One that
/// has not changed for too long is of a node that has gone. Times are the server's own.
///
/// Keys: limits. Arguments: the node, its report, how many seconds are too long. Returns nodes and reports in turn.
pub static REPORT_USE: Script = Script::new(
    r"
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
redis.call('EXPIREAT', KEYS[1], now + 60 + ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
local others = {}
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] then
    local at, report = string.match(all[i + 1], '^(%d+) (.*)$')
    if at == nil or math.abs(now - tonumber(at)) >= tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], all[i])
    else
      others[#others + 1] = all[i]
      others[#others + 1] = report
    end
  end
end
return others
",
);

/// Moves something out of the way, and tells the log.
///
/// Keys: where it lies, where it goes, log. Arguments: the log's length, its name, the channel,
/// the message. Returns where it has gone, with a number behind it where something was moved there
/// before; empty: there is nothing.
pub static SET_ASIDE: Script = Script::new(
    r"
if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
local aside, number = KEYS[2], 1
while redis.call('EXISTS', aside) == 1 do
  number = number + 1
  aside = KEYS[2] .. '#' .. number
end
redis.call('RENAME', KEYS[1], aside)
redis.call('PERSIST', aside)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*', 'changed', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return aside
",
);
