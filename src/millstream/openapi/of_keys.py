"""Operations: API keys. All of them need the scope admin."""

from collections.abc import Mapping
from typing import Final

from ingest.problems import ProblemCode
from millstream.admission.key_status import CreateKeyBody, KeyStatus, RotateKeyBody, ShownKey
from millstream.openapi.operation import Answer, JsonBody, Operation, Tag
from millstream.openapi.parameters import LOCATION
from projections.lists import Listing

UNKNOWN: Final = frozenset({ProblemCode.UNKNOWN_KEY})
ONCE: Final = "`api_key` is the key itself: it is shown this once, and only its digest is kept."

OPERATIONS: Final[Mapping[str, Operation]] = {
    "create_key": Operation(
        summary="Create a key",
        description=(
            f"{ONCE} A key that is bound to knowledge bases sees nothing else, and cannot have the scope admin. "
            "It opens every process of the service within a second."
        ),
        tag=Tag.KEYS,
        body=JsonBody(
            struct=CreateKeyBody,
            examples={
                "to read": {"name": "dashboard", "scopes": ["read"]},
                "for a while": {
                    "name": "importer",
                    "scopes": ["write"],
                    "expires_at": "2099-01-01T00:00:00Z",
                    "limits": {"writes_per_minute": 60},
                },
            },
        ),
        answers=(
            Answer(status=201, description="The key.", structs=(ShownKey,), headers=(LOCATION,)),
            Answer(
                description="The Idempotency-Key came before: the same key, without `api_key`.",
                structs=(ShownKey,),
                headers=(LOCATION,),
            ),
        ),
        problems=frozenset({ProblemCode.NOT_FOUND, ProblemCode.UNKNOWN_KNOWLEDGE_BASE}),
        is_idempotent=True,
    ),
    "list_keys": Operation(
        summary="List the keys",
        description="Newest first, the revoked ones too.",
        tag=Tag.KEYS,
        answers=(Answer(description="All of them.", structs=(Listing[KeyStatus],)),),
    ),
    "get_key": Operation(
        summary="Read a key",
        tag=Tag.KEYS,
        answers=(Answer(description="The key, without what opens anything.", structs=(KeyStatus,)),),
        problems=UNKNOWN,
    ),
    "revoke_key": Operation(
        summary="Revoke a key",
        description="For good. Within seconds it opens nothing anywhere; its streams end, its uploads are refused.",
        tag=Tag.KEYS,
        answers=(Answer(description="The key as it is now.", structs=(KeyStatus,)),),
        problems=UNKNOWN,
    ),
    "rotate_key": Operation(
        summary="Give a key another secret",
        description=f"{ONCE} The secret before stays good for `overlap_s`, so that nobody is locked out meanwhile.",
        tag=Tag.KEYS,
        body=JsonBody(struct=RotateKeyBody, required=False, examples={"an hour": {"overlap_s": 3600}}),
        answers=(Answer(description="The key with its new secret.", structs=(ShownKey,)),),
        problems=UNKNOWN | {ProblemCode.KEY_ENDED},
        is_idempotent=True,
    ),
}
