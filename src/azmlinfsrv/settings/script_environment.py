"""The environment variables the user's script finds (R1.6).

Says what is to be set and removed; setting and removing is the worker's, at its start.
"""

from __future__ import annotations

from collections.abc import Mapping

from azmlinfsrv.settings.cores import available_cores
from azmlinfsrv.settings.reading import FIELDS, Loaded, environment
from azmlinfsrv.settings.values import Settings

_OUR_PREFIX = "AZMLINFSRV_"

# Read by OpenMP, OpenBLAS and MKL when they are loaded.
_MATH_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def script_environment(loaded: Loaded) -> dict[str, str]:
    """The variables a worker sets before it loads the script, over those it inherited."""
    settings, origins = loaded.settings, loaded.origins
    key = settings.app_insights_key
    variables = {
        "AML_APP_ROOT": settings.app_root,
        "WORKER_COUNT": str(settings.worker_count),
        "SERVER_PORT": str(settings.port),
        "HEALTH_PORT": str(health_port(loaded)),
        "TRANSPORT_PROTOCOL": settings.transport_protocol,
        "AML_APP_INSIGHTS_ENABLED": str(settings.app_insights_enabled).lower(),
    }
    optional = {
        # From the file it stays unset, as in the reference server (R1.9).
        "AZUREML_ENTRY_SCRIPT": None
        if origins["entry_script"].source == "file"
        else settings.entry_script,
        "AZUREML_MODEL_DIR": settings.model_dir,
        "AZUREML_CONFIG_FILE": settings.config_file,
        "AML_APP_INSIGHTS_KEY": None if key is None else key.reveal(),
        "AML_CORS_ORIGINS": settings.cors_origins,
        "HTTP_X_MS_SERVER_VERSION": settings.server_version or None,
    }
    variables.update((name, value) for name, value in optional.items() if value is not None)
    threads = math_threads(settings)
    if threads:
        variables.update(dict.fromkeys(_MATH_THREADS, str(threads)))
    return variables


def math_threads(settings: Settings) -> int:
    """How many threads BLAS and OpenMP are to use in each worker; 0 leaves it to them.

    Each library takes as many as there are cores. Several workers, or several calls in
    one, would have many more threads than cores; so they share them, unless the user has
    said how many.
    """
    inherited = environment()
    at_once = settings.worker_count * settings.threads
    if at_once == 1 or any(name in inherited for name in _MATH_THREADS):
        return 0
    return max(1, available_cores() // at_once)


def removed_variables(inherited: Mapping[str, str]) -> tuple[str, ...]:
    """Names a worker removes before it loads the script: secrets of the server's own.

    The key of Application Insights stays, scripts have always found it (R1.6).
    """
    ours = {
        variable
        for field in FIELDS
        if field.is_secret
        for variable in field.variables
        if variable.startswith(_OUR_PREFIX)
    }
    return tuple(sorted(name for name in inherited if name.upper() in ours))


def worker_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment a scoring process is born with: ours, without the server's own secrets.

    A process shows the variables it was started with for all its life (``/proc/PID/environ``),
    so that removing them later is not enough.
    """
    removed = removed_variables(inherited)
    return {name: value for name, value in inherited.items() if name not in removed}


def health_port(loaded: Loaded) -> int:
    """The port that really answers probes: the separate one only if it is on (D12)."""
    settings = loaded.settings
    return settings.health_port if settings.separate_health_endpoint else settings.port
