"""Every Redis key: its type, its writer, its lifetime. No other module builds one.

All keys of a partition share one hash slot by their tag, so that an append is one call on one node. A partition's tag
is found by search: partition p of n gets a tag whose slot lies in the p-th of n equal slices of the 16,384 slots, so
that they spread evenly over any number of nodes (plain tags p0..p11 would land 3/3/6 on three nodes).
"""

import binascii
import hashlib
from functools import cache
from typing import Final

from events.errors import InvalidId
from events.ids import PARTITIONS_MAX, partition_of
from events.steps import Lane, Step

SLOTS: Final = 16_384
"""Hash slots of a Redis Cluster (cluster specification, key distribution model)."""

PROVIDER_DIGITS: Final = 32
"""An address may hold a password, so a provider's key shows a digest of it."""

ACTOR_DIGITS: Final = 16

TOKEN_DIGITS: Final = 32
"""A token is a secret as long as its lease lasts, so a lease's key shows a digest of it."""

QUIET_DIGITS: Final = 3
"""Hex digits at the end of an id, where they are random: with 128 streams a hash (Redis packs no more of them tightly)
a partition has room for half a million."""


def slot_of(key: str) -> int:
    """The cluster's hash slot of a key: CRC16 (XMODEM) of its hash tag, modulo 16,384."""
    start = key.find("{")
    if start >= 0 and (end := key.find("}", start + 1)) > start + 1:
        key = key[start + 1 : end]
    return binascii.crc_hqx(key.encode(), 0) % SLOTS


@cache
def tags(partitions: int) -> tuple[str, ...]:
    """The hash tag of each partition."""
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise InvalidId(f"there can be 1 to {PARTITIONS_MAX} partitions, not {partitions}")
    return tuple(_search_tag(partition, partitions) for partition in range(partitions))


def _search_tag(partition: int, partitions: int) -> str:
    first, last = partition * SLOTS // partitions, (partition + 1) * SLOTS // partitions
    attempt = 0
    while not first <= slot_of(tag := f"{partition:02x}.{attempt}") < last:
        attempt += 1
    return tag


class Keys:
    """The key builder of one installation."""

    def __init__(self, partitions: int, namespace: str = "ms") -> None:
        self.partitions = partitions
        self._namespace = namespace
        self._prefixes = tuple(f"{namespace}:{{{tag}}}:" for tag in tags(partitions))
        self._inboxes: dict[tuple[int, Step, Lane], str] = {}
        self._of_append = tuple(
            (self.log(one), self.meta(one), self.due(one), self.dead(one)) for one in range(partitions)
        )

    @property
    def installation(self) -> str:
        """Hash, written once at first start: format version, number of partitions, installation id."""
        return f"{self._namespace}:meta"

    @property
    def consumers(self) -> str:
        """Zset of consumer names by last heartbeat (server ms); reaped by whoever claims."""
        return f"{self._namespace}:consumers"

    def provider(self, name: str) -> str:
        """Hash of one embedding endpoint and model, by digest of its name; written by workers, expires. Derived."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:PROVIDER_DIGITS]
        return f"{self._namespace}:provider:{digest}"

    def upkeep(self, name: str) -> str:
        """String that expires: who does this work now (`lease`, `webhooks`), or that it was done a while ago
        (`collected`, …)."""
        return f"{self._namespace}:upkeep:{name}"

    @property
    def index_comparers(self) -> str:
        """Hash: who compares the commits of an index in a bucket (server, redis), by place; written at start. Never
        lost while processes run: two that disagree would overwrite one another's rows."""
        return f"{self._namespace}:index"

    def index_version(self, table: str) -> str:
        """Hash of one table of the index, where its bucket cannot compare: version, staged. Written by whoever commits
        or drops; may be lost, as what it said lies in the bucket."""
        return f"{self._namespace}:index:{table}"

    @property
    def api_keys(self) -> str:
        """Hash of API keys by id, written by whoever creates, rotates or revokes one; `version` rises with each.
        The only source: a copy lies among the blobs."""
        return f"{self._namespace}:keys"

    @property
    def api_keys_used(self) -> str:
        """Hash of key id by when it was used last (unix µs), written by API processes once a minute. May be lost."""
        return f"{self._namespace}:keys:used"

    @property
    def rates(self) -> str:
        """What the names of the counters of requests begin with: strings that expire after two windows, written by the
        library `limits` in API processes. May be lost."""
        return f"{self._namespace}:rates"

    def uploads_due(self) -> str:
        """Zset of resumable uploads by when upkeep is to look at them (unix µs); written by the API and upkeep. What it
        has lost is found when the upload is asked for next, and expires otherwise."""
        return f"{self._namespace}:{{uploads}}:due"

    def uploads_of(self, actor: str) -> str:
        """Zset of one actor's open resumable uploads, by digest of its name and scored as in `uploads_due`."""
        digest = hashlib.sha256(actor.encode("utf-8", "surrogatepass")).hexdigest()[:ACTOR_DIGITS]
        return f"{self._namespace}:{{uploads}}:of:{digest}"

    def upload(self, upload_id: str) -> str:
        """Hash of one resumable upload, written by the API and upkeep: about, kind, length, offset, fence, pieces,
        expires, outcome, finisher, finishing. Expires a day behind the upload; never while it has all its bytes and no
        outcome yet."""
        return f"{self._namespace}:{{upload-{upload_id}}}:state"

    def upload_pieces(self, upload_id: str) -> str:
        """List of the recorded pieces of a resumable upload, `offset size key`; lives as long as it is open."""
        return f"{self._namespace}:{{upload-{upload_id}}}:pieces"

    @property
    def webhook_subscriptions(self) -> str:
        """Hash of packed subscriptions with their secrets by id; written by the API, by senders that disable one."""
        return f"{self._namespace}:{{webhooks}}:subscriptions"

    @property
    def webhook_state(self) -> str:
        """Hash: version (of all subscriptions), callbacks (there once a task had one); written with them."""
        return f"{self._namespace}:{{webhooks}}:state"

    @property
    def webhook_failing(self) -> str:
        """Hash by subscription: since when nothing has arrived (unix us). Written by senders; gone with a success."""
        return f"{self._namespace}:{{webhooks}}:failing"

    def webhook_dispatch(self, partition: int) -> str:
        """Hash written by whoever dispatches the partition: fencing token, position, caught_up."""
        return self._prefixes[partition] + "webhooks"

    def webhook_deliveries(self, partition: int) -> str:
        """Hash of packed deliveries by id; written by dispatchers, senders and the API, swept after days."""
        return self._prefixes[partition] + "webhooks:deliveries"

    def webhook_channels(self, partition: int) -> str:
        """Zset of every channel with deliveries by when the next is due (server ms, +inf: none). Goes with them."""
        return self._prefixes[partition] + "webhooks:channels"

    def webhook_due(self, partition: int, channel: str) -> str:
        """Zset of one channel's pending deliveries by when they are due (server ms). Goes with them."""
        return f"{self._prefixes[partition]}webhooks:due:{channel}"

    def webhook_log(self, partition: int, channel: str, state: str) -> str:
        """Zset of one channel's deliveries in one state, all scores 0: members sort by time. Goes with them."""
        return f"{self._prefixes[partition]}webhooks:log:{channel}:{state}"

    def reply(self, name: str) -> str:
        """Hash of a request under an Idempotency-Key, by digest of who asks what: f fingerprint, t token of who is at
        it, r its answer. Written by API processes, expires."""
        return f"{self._namespace}:reply:{name}"

    def prefix(self, partition: int) -> str:
        """What all keys of a partition begin with; `take.lua` names its log, its meta and histories behind it."""
        return self._prefixes[partition]

    def log(self, partition: int) -> str:
        """Stream of all events, written by append, trimmed by the archiver alone; its ids are moved on by whoever
        raises the epoch. Fields: `e` envelope, `n` number."""
        return self._prefixes[partition] + "log"

    def of_append(self, partition: int) -> tuple[str, str, str, str]:
        """A partition's `log`, `meta`, `due` and `dead`, as every append names them."""
        return self._of_append[partition]

    def meta(self, partition: int) -> str:
        """Hash written by append: number and last (of the last event), epoch, which whoever misses an event raises; by
        projector and rebuilds: generation, fence; by the archiver: archived, archived_at, digest (of the last segment),
        trimmed, trimmed_at; by whoever asks for it to be archived or verifies it: asked, verified (may be lost)."""
        return self._prefixes[partition] + "meta"

    def stream(self, stream_id: str) -> str:
        """Hash of one stream: `v` version, `e` last event id (16 bytes), both written by append; `a` entry id of its
        last event that has left the log, written by the archiver. Gone while the log has no event of it (`quiet`)."""
        return self.of_stream(stream_id)[0]

    def of_stream(self, stream_id: str) -> tuple[str, str, str]:
        """Its `stream`, `history` and `quiet`, as every append and every history names them."""
        prefix = self._of(stream_id)
        return (
            f"{prefix}stream:{stream_id}",
            f"{prefix}history:{stream_id}",
            f"{prefix}quiet:{stream_id[-QUIET_DIGITS:]}",
        )

    def quiet(self, stream_id: str) -> str:
        """Hash, shared by 1 of 4,096 streams: version and last entry id by packed stream id, of streams whose events
        have all left the log. Written by the archiver, taken back by append. 40 bytes a stream, a hash of its own
        takes 120."""
        return self.of_stream(stream_id)[2]

    def history(self, stream_id: str) -> str:
        """List of the entry ids of one stream's events, in order; written by append, shortened by the archiver."""
        return self.of_stream(stream_id)[1]

    def tally(self, task_id: str) -> str:
        """Hash of one task's document counts, written by append, deleted when the task finishes. Derived."""
        return f"{self._of(task_id)}tally:{task_id}"

    def digests(self, knowledge_base_id: str) -> str:
        """Hash of a knowledge base's live documents by their bytes: the first 16 bytes of SHA-256 to packed stream ids,
        18 bytes each, of which the first holds the digest. Written by append; gone with its last document. Derived."""
        return f"{self._of(knowledge_base_id)}digests:{knowledge_base_id}"

    def inbox(self, partition: int, step: Step, lane: Lane) -> str:
        """Stream with one consumer group, written by append, timers and claims. Derived."""
        name = self._inboxes.get((partition, step, lane))
        if name is None:
            name = self._inboxes[partition, step, lane] = f"{self._prefixes[partition]}inbox:{step.value}:{lane.value}"
        return name

    def due(self, partition: int) -> str:
        """Zset of pointers by time (unix ms), written by append and timers. Derived."""
        return self._prefixes[partition] + "due"

    def dead(self, partition: int) -> str:
        """Zset of stream ids by the time of their failure (unix ms), written by append. Derived."""
        return self._prefixes[partition] + "dead"

    def worker_lease(self, partition: int, token: str) -> str:
        """Hash of what a worker over gRPC has leased, by digest of its token: r record, b who ends it, v verdict.
        Written by API processes, expires. May be lost: its work is then done again."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:TOKEN_DIGITS]
        return f"{self._prefixes[partition]}lease:{digest}"

    def view(self, partition: int, generation: int, name: str) -> str:
        """Hash or zset of read models, written by the projector alone. Derived. The keys of long lists
        (`projections/leaves.lua`) begin so too."""
        return f"{self._prefixes[partition]}views:{generation}:{name}"

    def views_pattern(self, partition: int, generation: int) -> str:
        """Glob that matches every view of a generation (tags hold no glob characters)."""
        return f"{self._prefixes[partition]}views:{generation}:*"

    def checkpoint(self, partition: int, generation: int) -> str:
        """Hash written by the projector together with its views: epoch, position, number, lease, fencing token."""
        return f"{self.checkpoint_prefix(partition)}{generation}"

    def checkpoint_prefix(self, partition: int) -> str:
        """What the keys of a partition's checkpoints begin with."""
        return f"{self._prefixes[partition]}checkpoint:"

    def changes(self, partition: int) -> str:
        """Capped stream of view changes for SSE, written by the projector; broken off by whoever raises the epoch.
        Derived."""
        return self._prefixes[partition] + "changes"

    def segments(self, partition: int) -> str:
        """Zset of archived segments by first number, written by the archiver."""
        return self._prefixes[partition] + "segments"

    def archiver(self, partition: int) -> str:
        """Name of the process that archives the partition; expires with its lease."""
        return self._prefixes[partition] + "archiver"

    def _of(self, stream_id: str) -> str:
        partition = partition_of(stream_id)
        if partition >= self.partitions:
            raise InvalidId(f"the id names partition {partition}, there are {self.partitions}")
        return self._prefixes[partition]
