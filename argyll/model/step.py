"""A step: what it needs, what it produces, and how it runs.

Plain immutable values with every role's settings flat on the attribute. Reading and writing the two spellings is
`argyll.model.wire`; saying whether a definition makes sense is `argyll.analysis`.
"""

from functools import cached_property
from typing import Literal, get_args

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from argyll.model.json import JSON

StepType = Literal["sync", "async", "script", "flow"]
Role = Literal["required", "optional", "const", "meta", "output"]
AttributeType = Literal["string", "number", "boolean", "object", "array", "null", "any"]
Collect = Literal["first", "last", "all", "some", "none"]
Language = Literal["ale", "lua", "jpath"]
Method = Literal["GET", "POST", "PUT", "DELETE"]
BackoffType = Literal["fixed", "linear", "exponential"]

STEP_TYPES: tuple[str, ...] = get_args(StepType)
ROLES: tuple[str, ...] = get_args(Role)
ATTRIBUTE_TYPES: tuple[str, ...] = get_args(AttributeType)
COLLECTS: tuple[str, ...] = get_args(Collect)
LANGUAGES: tuple[str, ...] = get_args(Language)
STEP_LANGUAGES: tuple[str, ...] = ("ale", "lua")
METHODS: tuple[str, ...] = get_args(Method)
BACKOFF_TYPES: tuple[str, ...] = get_args(BackoffType)

META_KEYS: tuple[str, ...] = (
    "flow_id",
    "step_id",
    "receipt_token",
    "webhook_url",
    "parent_flow_id",
    "parent_step_id",
    "parent_work_item_token",
)


class Script(Struct, frozen=True):
    """Text in one of the three languages."""

    language: Language
    script: str


class Mapping(Struct, frozen=True):
    """How an attribute is called inside the step (`name`), and how its value is converted (`script`)."""

    name: str = ""
    script: Script | None = None


class Attribute(Struct, frozen=True):
    """One name that a step reads or writes. Which settings mean something depends on `role`."""

    role: Role
    type: AttributeType | None = None
    collect: Collect = "first"
    for_each: bool = False
    match: Script | None = None
    mapping: Mapping | None = None
    default: JSON | UnsetType = UNSET
    deadline_ms: int = 0
    value: JSON | UnsetType = UNSET
    key: str = ""

    @property
    def is_input(self) -> bool:
        """Whether other steps' outputs or init can supply it (required or optional)."""
        return self.role == "required" or self.role == "optional"

    def inner_name(self, name: str) -> str:
        """What the step's service, script or child flow calls the attribute `name`."""
        return self.mapping.name if self.mapping is not None and self.mapping.name else name


class Http(Struct, frozen=True):
    """The service behind a sync or async step. `timeout_ms` 0 means the engine's default."""

    endpoint: str
    method: Method = "POST"
    timeout_ms: int = 0
    health_check: str = ""
    compensate: str = ""


class WorkConfig(Struct, frozen=True):
    """Retries, backoff and parallelism of a step's work items; zero or empty means the engine's default.

    `max_retries` counts calls after the first, negative is unlimited. `max_attempts` counts all calls; at most one of
    the two is set (decisions 13).
    """

    max_retries: int = 0
    max_attempts: int = 0
    init_backoff_ms: int = 0
    max_backoff_ms: int = 0
    backoff_type: BackoffType | Literal[""] = ""
    parallelism: int = 0
    jitter: bool = False

    @property
    def retry_limit(self) -> int:
        """How many retries are allowed; negative is unlimited."""
        return self.max_attempts - 1 if self.max_attempts > 0 else self.max_retries

    def with_defaults(self, defaults: "WorkConfig") -> "WorkConfig":
        """This configuration with what it leaves open filled in; a lone backoff bound moves the other (decisions 13)."""
        init_ms, max_ms = self.init_backoff_ms, self.max_backoff_ms
        return WorkConfig(
            max_retries=0 if self.max_attempts else self.max_retries or defaults.max_retries,
            max_attempts=self.max_attempts,
            init_backoff_ms=init_ms or (min(defaults.init_backoff_ms, max_ms) if max_ms else defaults.init_backoff_ms),
            max_backoff_ms=max_ms or max(defaults.max_backoff_ms, init_ms),
            backoff_type=self.backoff_type or defaults.backoff_type,
            parallelism=self.parallelism,
            jitter=self.jitter,
        )


DEFAULT_WORK = WorkConfig(max_retries=10, init_backoff_ms=1_000, max_backoff_ms=60_000, backoff_type="exponential")


class Step(Struct, frozen=True, dict=True):
    """A step definition. `flow_goals` is set for flow steps, `http` for sync and async, `script` for script steps."""

    id: str
    name: str
    type: StepType
    attributes: dict[str, Attribute] = {}
    http: Http | None = None
    script: Script | None = None
    flow_goals: tuple[str, ...] = ()
    predicate: Script | None = None
    work: WorkConfig = WorkConfig()
    labels: dict[str, str] = {}
    memoizable: bool = False

    @cached_property
    def inputs(self) -> dict[str, Attribute]:
        """Required and optional attributes, by name in ascending order."""
        return {name: spec for name, spec in sorted(self.attributes.items()) if spec.is_input}

    @cached_property
    def required(self) -> dict[str, Attribute]:
        """Required attributes, by name in ascending order."""
        return {name: spec for name, spec in self.inputs.items() if spec.role == "required"}

    @cached_property
    def optional(self) -> dict[str, Attribute]:
        """Optional attributes, by name in ascending order."""
        return {name: spec for name, spec in self.inputs.items() if spec.role == "optional"}

    @cached_property
    def gates(self) -> dict[str, Attribute]:
        """Required attributes with a match, by name in ascending order."""
        return {name: spec for name, spec in self.inputs.items() if spec.match is not None}

    @cached_property
    def outputs(self) -> dict[str, Attribute]:
        """Output attributes, by name in ascending order."""
        return {name: spec for name, spec in sorted(self.attributes.items()) if spec.role == "output"}

    @cached_property
    def argument_names(self) -> tuple[str, ...]:
        """Inner names of everything the step is called with, ascending: the parameters of its scripts."""
        return tuple(sorted(spec.inner_name(name) for name, spec in self.attributes.items() if spec.role != "output"))

    @cached_property
    def output_mapping_names(self) -> tuple[str, ...]:
        """Parameters of the output mapping scripts: `outputs`, and every output by both of its names (decisions 30)."""
        inner = {spec.inner_name(name) for name, spec in self.outputs.items()}
        return tuple(sorted({*self.outputs, *inner, "outputs"}))

    @cached_property
    def compensable(self) -> bool:
        """Whether succeeded work of this step is undone when the step fails (decisions 27)."""
        return self.type in ("sync", "async") and not self.memoizable and bool(self.http and self.http.compensate)

    def with_work_defaults(self, defaults: WorkConfig) -> "Step":
        """This step with its work configuration filled in, as the catalog keeps it."""
        return replace(self, work=self.work.with_defaults(defaults))
