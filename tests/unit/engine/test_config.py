"""The settings: flags over environment over file over defaults, and every bad value names where it came from."""

from pathlib import Path
from typing import Any

import pytest

from argyll.engine.config import DEFAULT_PORT, SETTINGS, ConfigError, EngineConfig
from argyll.model.step import DEFAULT_WORK


def load(flags: Any = None, environment: Any = None, file: Any = None) -> EngineConfig:
    return EngineConfig.load(flags or {}, environment or {}, file)


def test_defaults_hold_when_nothing_is_given():
    config = load()
    assert (config.api_host, config.api_port, config.node_id) == ("127.0.0.1", DEFAULT_PORT, "argyll-1")
    assert config.work == DEFAULT_WORK
    assert config.webhook_base == f"http://127.0.0.1:{DEFAULT_PORT}"
    assert config.data_dir == Path.home() / ".local" / "share" / "argyll" / "argyll-1"
    assert load({"node_id": "n2"}).data_dir.name == "n2"


@pytest.mark.parametrize(
    ("flags", "environment", "file", "port"),
    [
        ({"api_port": "1"}, {"API_PORT": "2"}, {"api_port": 3}, 1),
        ({"api_port": None}, {"API_PORT": "2"}, {"api_port": 3}, 2),
        ({}, {"API_PORT": ""}, {"api_port": 3}, 3),
        ({}, {}, {}, DEFAULT_PORT),
    ],
)
def test_flags_go_before_environment_before_file_before_default(flags: Any, environment: Any, file: Any, port: int):
    assert load(flags, environment, file).api_port == port


def test_work_settings_come_from_the_same_places():
    config = load({}, {"RETRY_MAX_RETRIES": "3"}, {"init_backoff_ms": 7, "backoff_type": "fixed"})
    assert (config.work.max_retries, config.work.init_backoff_ms, config.work.backoff_type) == (3, 7, "fixed")
    assert config.work.max_backoff_ms == DEFAULT_WORK.max_backoff_ms


def test_a_webhook_base_has_no_slash_at_its_end():
    assert load({"webhook_base_url": "https://flows.example/"}).webhook_base == "https://flows.example"


BAD: dict[str, list[Any]] = {
    "data_dir": ["", "  ", ["a"]],
    "node_id": ["", "../up", "a/b", ".hidden", "x" * 65, {"a": 1}],
    "api_host": ["", " ", ["a"]],
    "api_port": ["65536", "-1", "http", "1.5", True],
    "webhook_base_url": ["", "flows.example", "ftp://flows.example"],
    "log_level": ["loud", "INFO"],
    "step_timeout_ms": ["0", "-5", "1s"],
    "step_client": ["curl"],
    "flow_cache_entries": ["0"],
    "memo_cache_entries": ["0", "many"],
    "max_concurrent_calls": ["0"],
    "max_pending_appends": ["0"],
    "script_workers": ["0", "65"],
    "script_steps": ["1000", "many"],
    "script_time_ms": ["0", "60001"],
    "script_memory_bytes": ["1000"],
    "drain_s": ["-1", "nan", "inf", "soon"],
    "health_period_s": ["0", "-1", "nan"],
    "unhealthy_wait_s": ["-0.1", "nan"],
    "fsync": ["never"],
    "raft_servers": ["n1", "n1=host", "=host:1", "n1=host:1,n1=host:2", "n1=:1", "n1=host:65536", ","],
    "raft_address": ["host", ":1", "host:0", "host:x"],
    "raft_tls_cert": ["", " "],
    "raft_tls_key": ["", " "],
    "raft_tls_ca": ["", " "],
    "max_retries": ["0", "-1"],
    "init_backoff_ms": ["0"],
    "max_backoff_ms": ["0", "1e3"],
    "backoff_type": ["random"],
}


def test_every_setting_has_a_bad_value_in_the_table():
    assert set(BAD) == {setting.field for setting in SETTINGS}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_a_bad_value_names_its_origin_and_what_is_accepted(field: str, value: Any):
    """execution.md 13.2/31"""
    setting = next(setting for setting in SETTINGS if setting.field == field)
    origins: list[tuple[str, Any, Any, Any]] = [
        (f"{setting.flag} is", {field: value}, {}, {}),
        (f"engine.yaml: {field} is", {}, {}, {field: value}),
    ]
    if isinstance(value, str) and value:  # an empty variable counts as not set
        origins.append((f"{setting.variable} is", {}, {setting.variable: value}, {}))
    for named, flags, environment, file in origins:
        with pytest.raises(ConfigError) as raised:
            load(flags, environment, file)
        assert str(raised.value).startswith(named)
        assert setting.accepts in str(raised.value)


def test_an_unknown_setting_in_the_file_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown setting 'api_prot'; known are .*api_port"):
        load(file={"api_prot": 1})


def test_a_cap_below_the_first_backoff_is_refused():
    with pytest.raises(ConfigError, match="RETRY_MAX_BACKOFF"):
        load({}, {"RETRY_INITIAL_BACKOFF": "500", "RETRY_MAX_BACKOFF": "400"})


def test_a_cluster_is_every_node_by_name():
    config = load({"node_id": "n1"}, {"RAFT_SERVERS": "n1=a:1, n2=b:2,,n3=[::1]:3"})
    assert config.raft_servers == {"n1": "a:1", "n2": "b:2", "n3": "[::1]:3"}
    assert config.is_clustered
    assert not load({"node_id": "n1"}, {"RAFT_SERVERS": "n1=a:1"}).is_clustered


def test_a_cluster_without_this_node_is_refused():
    with pytest.raises(ConfigError, match="RAFT_SERVERS names n2, n3 and not this node, argyll-1"):
        load({}, {"RAFT_SERVERS": "n2=a:1,n3=b:2"})


def test_half_of_tls_is_refused():
    with pytest.raises(ConfigError, match="ARGYLL_RAFT_TLS_KEY is missing"):
        load({}, {"ARGYLL_RAFT_TLS_CERT": "a.pem", "ARGYLL_RAFT_TLS_CA": "ca.pem"})
