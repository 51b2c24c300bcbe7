"""What a worker needs to know of the settings; it gets no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from azmlinfsrv.script.json_text import NaN

if TYPE_CHECKING:
    from azmlinfsrv.settings import Settings  # 10 ms a worker does not need


class WorkerOptions(Struct, frozen=True):
    """Sent to a worker in its `Start` frame."""

    entry_script: str | None
    app_root: str
    source_dir: str
    model_dir: str
    log_level: str
    log_format: str
    nan: NaN
    service_name: str
    service_version: str
    service_path_prefix: str
    scoring_timeout_ms: int
    cors_origins: str
    debug_port: int
    memory_bytes: int
    quick_json: bool
    threads: int
    max_concurrency: int
    batch_max_size: int
    batch_max_wait_s: float | None
    parent_pid: int
    dev: bool = False
    reload: bool = False
    has_colour: bool = False

    @classmethod
    def of(cls, settings: Settings, parent_pid: int, *, has_colour: bool = False) -> WorkerOptions:
        """Pick them from the settings.

        Args:
            has_colour: The log is read at a terminal that shows colours.
        """
        return cls(
            entry_script=settings.entry_script,
            app_root=settings.app_root,
            source_dir=settings.source_dir or "",
            model_dir=settings.model_dir or "",
            log_level=settings.log_level,
            log_format=settings.log_format,
            nan=settings.nan,
            service_name=settings.service_name,
            service_version=settings.service_version,
            service_path_prefix=settings.service_path_prefix,
            # A call may stand at a breakpoint for as long as it takes.
            scoring_timeout_ms=0 if settings.debug_port else settings.scoring_timeout_ms,
            cors_origins=settings.cors_origins or "",
            debug_port=settings.debug_port or 0,
            quick_json=settings.quick_json,
            threads=settings.threads,
            max_concurrency=settings.max_concurrency,
            batch_max_size=settings.batch_max_size or 0,
            batch_max_wait_s=None
            if settings.batch_max_wait_ms is None
            else settings.batch_max_wait_ms / 1000,
            memory_bytes=0 if settings.in_process else settings.worker_memory_limit,
            parent_pid=parent_pid,
            dev=settings.dev,
            reload=settings.reload,
            has_colour=has_colour and settings.log_format == "text",
        )
