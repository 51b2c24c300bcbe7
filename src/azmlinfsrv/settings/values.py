"""Every choice made before the server starts, each declared once.

Adding a setting is adding a field here: flag, variable, file key, default, range and help
sit together, and `azmlinfsrv config`, ``--help`` and ``docs/settings.md`` follow.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from azmlinfsrv import __version__
from azmlinfsrv.settings.conversion import read_exactly_true, read_log_level, read_true
from azmlinfsrv.settings.declaration import Setting
from azmlinfsrv.settings.secret import Secret

SCRIPT: Final = "Script"
LISTENING: Final = "Listening"
SECURITY: Final = "Security"
SCORING: Final = "Scoring"
LOGS: Final = "Logs"
TELEMETRY: Final = "Telemetry"
SERVICE: Final = "Service"
GROUPS: Final = (SCRIPT, LISTENING, SECURITY, SCORING, LOGS, TELEMETRY, SERVICE)

ON_WINDOWS: Final = sys.platform == "win32"
_MIB: Final = 1024 * 1024
# An interval timer takes at least this much everywhere (24.8 days in milliseconds); a
# larger number is a slip of units rather than a limit.
_LONGEST_MS: Final = 2**31 - 1
_LONGEST_S: Final = _LONGEST_MS // 1000

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=_LONGEST_S)]
# A limit that is always there: connections are looked at once a second.
Patience = Annotated[float, Meta(ge=1, le=_LONGEST_S)]


class Settings(Struct, frozen=True, kw_only=True):
    """Every choice made before the server starts; never changed after."""

    entry_script: Annotated[
        str | None,
        Setting(
            "The script with init() and run(). A relative path is taken from the current "
            "directory on the command line, from the application root elsewhere. "
            "Without one, main.py is imported.",
            SCRIPT,
            flag="--entry_script",
            env=("AZUREML_ENTRY_SCRIPT",),
            attribute="entry_script",
        ),
    ] = None
    model_dir: Annotated[
        str | None,
        Setting(
            "Folder of the model; the script finds it in AZUREML_MODEL_DIR.",
            SCRIPT,
            flag="--model_dir",
            env=("AZUREML_MODEL_DIR",),
            attribute="azureml_model_dir",
        ),
    ] = None
    config_file: Annotated[
        str | None,
        Setting(
            "A JSON object with settings by the names of their variables. Without one, a "
            "config.json in the application root or beside the script is read if it holds "
            "settings of this server.",
            SCRIPT,
            flag="--config_file",
            env=("AZUREML_CONFIG_FILE",),
            in_file=False,
        ),
    ] = None
    app_root: Annotated[
        str,
        Setting(
            "Application root: where relative script paths start, where main.py, config.json, "
            "logging.json and swagger files are looked for; importable by the script.",
            SCRIPT,
            flag="--app_root",
            env=("AML_APP_ROOT",),
            attribute="app_root",
            default_text="the current directory",
        ),
    ] = "."
    source_dir: Annotated[
        str | None,
        Setting(
            "A folder under the application root that the script can import from.",
            SCRIPT,
            flag="--source_dir",
            env=("AZUREML_SOURCE_DIRECTORY",),
            attribute="source_dir",
        ),
    ] = None
    debug_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Setting(
            "Port of a waiting debugger (debugpy) to connect to before the script is loaded; "
            "0 is none. For development only.",
            SCRIPT,
            flag="--debug_port",
            env=("AZUREML_DEBUG_PORT",),
            attribute="debug_port",
        ),
    ] = None
    dev: Annotated[
        bool,
        Setting(
            "Development mode: a failed call is answered with the line of the script, the "
            "traceback, a hint and a curl line. Listens on 127.0.0.1 unless told otherwise.",
            SCRIPT,
            flag="--dev",
            env=("AZMLINFSRV_DEV",),
            is_switch=True,
        ),
    ] = False
    reload: Annotated[
        bool,
        Setting(
            "Load the script anew when it, a module it imported or the model directory changes. "
            "Needs the extra [dev]. --no_reload turns it off.",
            SCRIPT,
            flag="--reload",
            env=("AZMLINFSRV_RELOAD",),
            is_switch=True,
            off_flag="--no_reload",
            default_text="that of --dev",
        ),
    ] = False
    playground: Annotated[
        bool,
        Setting(
            "A page at /playground to send requests and read the answers, filled from samples "
            "beside the script. Always there with --dev.",
            SCRIPT,
            flag="--playground",
            env=("AZMLINFSRV_PLAYGROUND",),
            is_switch=True,
        ),
    ] = False

    host: Annotated[
        str,
        Meta(min_length=1),
        Setting(
            "Address to listen on.",
            LISTENING,
            flag="--host",
            env=("AZMLINFSRV_HOST",),
        ),
    ] = "0.0.0.0"
    port: Annotated[
        Port,
        Setting(
            "Port to listen on. SERVER_PORT in the environment is written, never read.",
            LISTENING,
            flag="--port",
            env=("AZMLINFSRV_PORT",),
            keys=("AZMLINFSRV_PORT", "SERVER_PORT"),
        ),
    ] = 5001
    separate_health_endpoint: Annotated[
        bool,
        Setting(
            "Answer health probes on a port of their own as well. In the environment only "
            "'true' turns it on.",
            LISTENING,
            flag="--separate_health_endpoint",
            env=("SEPERATE_HEALTH_ENDPOINT", "SEPARATE_HEALTH_ENDPOINT"),
            reader=read_true,
            is_switch=True,
        ),
    ] = False
    health_port: Annotated[
        Port,
        Setting(
            "The separate health port. HEALTH_PORT in the environment is written, never read.",
            LISTENING,
            flag="--health_port",
            env=("AZMLINFSRV_HEALTH_PORT",),
            keys=("AZMLINFSRV_HEALTH_PORT", "HEALTH_PORT"),
        ),
    ] = 5000
    server: Annotated[
        Literal["gunicorn", "waitress"],
        Setting(
            "The HTTP server in front.",
            LISTENING,
            flag="--server",
            env=("AZMLINFSRV_SERVER",),
            default_text="gunicorn (waitress on Windows)",
        ),
    ] = "waitress" if ON_WINDOWS else "gunicorn"
    cors_origins: Annotated[
        str | None,
        Setting(
            "Origins that browsers may call from, separated by commas; '*' in an entry stands "
            "for one or more labels of a host name.",
            LISTENING,
            flag="--access_control_allow_origins",
            env=("AML_CORS_ORIGINS",),
            attribute="cors_origins",
        ),
    ] = None
    max_body_bytes: Annotated[
        int,
        Meta(ge=1, le=2**32 - 1),  # what a frame to a scoring process can carry
        Setting(
            "Largest request body in bytes; a larger one is answered 413.",
            LISTENING,
            flag="--max_body_bytes",
            env=("AZMLINFSRV_MAX_BODY_BYTES",),
            default_text="104857600 (100 MiB)",
        ),
    ] = 100 * _MIB
    max_request_line_bytes: Annotated[
        int,
        Meta(ge=256, le=65_535),  # the parser's own limit
        Setting(
            "Longest target (path and query) of a request in bytes; a longer one is answered 414.",
            LISTENING,
            flag="--max_request_line_bytes",
            env=("AZMLINFSRV_MAX_REQUEST_LINE_BYTES",),
        ),
    ] = 65_536
    max_header_bytes: Annotated[
        int,
        Meta(ge=1024, le=8 * _MIB),
        Setting(
            "Largest head of a request, its line and header fields together, in bytes; a larger "
            "one is answered 431.",
            LISTENING,
            flag="--max_header_bytes",
            env=("AZMLINFSRV_MAX_HEADER_BYTES",),
            default_text="1048576 (1 MiB)",
        ),
    ] = _MIB
    max_header_count: Annotated[
        int,
        Meta(ge=10, le=100_000),
        Setting(
            "Most header fields of a request; one more is answered 431.",
            LISTENING,
            flag="--max_header_count",
            env=("AZMLINFSRV_MAX_HEADER_COUNT",),
        ),
    ] = 1000
    header_timeout_s: Annotated[
        Patience,
        Setting(
            "Seconds until the head of a request must be complete. Then it is answered 408; a "
            "new connection that has sent nothing is closed.",
            LISTENING,
            flag="--header_timeout",
            env=("AZMLINFSRV_HEADER_TIMEOUT_S",),
        ),
    ] = 15.0
    body_timeout_s: Annotated[
        Patience,
        Setting(
            "Seconds that a request's body may pause. All of it may take so long, and a second "
            "more for each KiB that has come. Then it is answered 408.",
            LISTENING,
            flag="--body_timeout",
            env=("AZMLINFSRV_BODY_TIMEOUT_S",),
        ),
    ] = 15.0
    write_timeout_s: Annotated[
        Patience,
        Setting(
            "Seconds that a client may take nothing of an answer before its connection is cut.",
            LISTENING,
            flag="--write_timeout",
            env=("AZMLINFSRV_WRITE_TIMEOUT_S",),
        ),
    ] = 30.0
    keep_alive_s: Annotated[
        Patience,
        Setting(
            "Seconds that a connection stays open between requests. Longer than a proxy in "
            "front keeps its own.",
            LISTENING,
            flag="--keep_alive",
            env=("AZMLINFSRV_KEEP_ALIVE_S",),
        ),
    ] = 75.0

    auth_keys: Annotated[
        Secret | None,
        Setting(
            "Keys, separated by commas, one of which every request but a health probe must "
            "carry, as 'Authorization: Bearer KEY' or 'api-key: KEY'. Without the setting "
            "everybody may call.",
            SECURITY,
            # No flag: command lines are seen by everybody on the machine.
            env=("AZMLINFSRV_AUTH_KEYS",),
        ),
    ] = None
    tls_cert: Annotated[
        str | None,
        Setting(
            "File of the server's certificate and those that signed it (PEM): the ports speak "
            "HTTPS, and nothing else. Not with Waitress.",
            SECURITY,
            flag="--tls_cert",
            env=("AZMLINFSRV_TLS_CERT",),
        ),
    ] = None
    tls_key: Annotated[
        str | None,
        Setting(
            "File of the certificate's private key (PEM).",
            SECURITY,
            flag="--tls_key",
            env=("AZMLINFSRV_TLS_KEY",),
            default_text="the file of the certificate",
        ),
    ] = None
    tls_key_password: Annotated[
        Secret | None,
        Setting(
            "Password of the private key, if it has one.",
            SECURITY,
            env=("AZMLINFSRV_TLS_KEY_PASSWORD",),
        ),
    ] = None
    tls_client_ca: Annotated[
        str | None,
        Setting(
            "File of certificates (PEM): every client, probes too, must show a certificate "
            "that one of them has signed.",
            SECURITY,
            flag="--tls_client_ca",
            env=("AZMLINFSRV_TLS_CLIENT_CA",),
        ),
    ] = None

    worker_count: Annotated[
        int,
        Meta(ge=1, le=1024),
        Setting(
            "Number of processes that run the script.",
            SCORING,
            flag="--worker_count",
            env=("WORKER_COUNT",),
        ),
    ] = 1
    worker_timeout_s: Annotated[
        Seconds | None,
        Setting(
            "Seconds after which a call is ended whatever the scoring timeout says; 0 is never.",
            SCORING,
            flag="--worker_timeout",
            env=("WORKER_TIMEOUT",),
        ),
    ] = None
    worker_preload: Annotated[
        bool,
        Setting(
            "Import the script and call init() once, before the workers are started from it. "
            "In the environment only 'true' turns it on.",
            SCORING,
            flag="--worker_preload",
            env=("WORKER_PRELOAD",),
            reader=read_true,
            is_switch=True,
        ),
    ] = False
    scoring_timeout_ms: Annotated[
        int,
        Meta(ge=0, le=_LONGEST_MS),
        Setting(
            "Milliseconds a call may take, counted from its arrival; 0 is no limit.",
            SCORING,
            flag="--scoring_timeout_ms",
            env=("SCORING_TIMEOUT_MS",),
            attribute="scoring_timeout",
        ),
    ] = 3_600_000
    queue_size: Annotated[
        int,
        Meta(ge=1, le=1_000_000),
        Setting(
            "Calls that may wait for a worker; one more is answered 429.",
            SCORING,
            flag="--queue_size",
            env=("AZMLINFSRV_QUEUE_SIZE",),
        ),
    ] = 1000
    threads: Annotated[
        int,
        Meta(ge=1, le=1024),
        Setting(
            "Threads in which a worker computes calls at once, for scripts that are safe for it. "
            "An `async def run` needs none.",
            SCORING,
            flag="--threads",
            env=("AZMLINFSRV_THREADS",),
        ),
    ] = 1
    batch_max_size: Annotated[
        Annotated[int, Meta(ge=1, le=65_536)] | None,
        Setting(
            "Calls that run() is given at once at most, as a list; it returns a list.",
            SCORING,
            flag="--batch_max_size",
            env=("AZMLINFSRV_BATCH_MAX_SIZE",),
            default_text="as @batch in the script says, else 1",
        ),
    ] = None
    batch_max_wait_ms: Annotated[
        Annotated[float, Meta(ge=0, le=60_000)] | None,
        Setting(
            "Milliseconds an idle worker waits for a batch to fill, from the arrival of the "
            "oldest call.",
            SCORING,
            flag="--batch_max_wait_ms",
            env=("AZMLINFSRV_BATCH_MAX_WAIT_MS",),
            default_text="as @batch in the script says, else 0",
        ),
    ] = None
    max_concurrency: Annotated[
        int,
        Meta(ge=0, le=1_000_000),
        Setting(
            "Calls that may be in the server at once, waiting and computed together; one more is "
            "answered 429. 0 is no such limit. An `async def run` has up to so many at once (100 "
            "by default).",
            SCORING,
            flag="--max_concurrency",
            env=("AZMLINFSRV_MAX_CONCURRENCY",),
        ),
    ] = 0
    max_buffered_bytes: Annotated[
        int,
        Meta(ge=1),
        Setting(
            "Memory for request bodies of over 1 MiB, all of them together, in bytes; a request "
            "that needs more is answered 429.",
            SCORING,
            flag="--max_buffered_bytes",
            env=("AZMLINFSRV_MAX_BUFFERED_BYTES",),
            default_text="536870912 (512 MiB)",
        ),
    ] = 512 * _MIB
    cancel_running: Annotated[
        bool,
        Setting(
            "Interrupt run() when its caller has left. Without it such a call runs to its end.",
            SCORING,
            flag="--cancel_running",
            env=("AZMLINFSRV_CANCEL_RUNNING",),
            is_switch=True,
        ),
    ] = False
    quarantine: Annotated[
        bool,
        Setting(
            "Refuse a request (422) that has ended its worker twice.",
            SCORING,
            flag="--quarantine",
            env=("AZMLINFSRV_QUARANTINE",),
        ),
    ] = True
    max_requests: Annotated[
        int,
        Meta(ge=0),
        Setting(
            "Calls a worker answers before another takes its place, between two calls; 0 is any "
            "number.",
            SCORING,
            flag="--max_requests",
            env=("AZMLINFSRV_MAX_REQUESTS",),
        ),
    ] = 0
    max_requests_jitter: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Setting(
            "Up to so many more, at random for each worker, so that they are not replaced all at "
            "once.",
            SCORING,
            flag="--max_requests_jitter",
            env=("AZMLINFSRV_MAX_REQUESTS_JITTER",),
            default_text="a tenth of --max_requests",
        ),
    ] = None
    worker_memory_limit: Annotated[
        int,
        Meta(ge=0),
        Setting(
            "Memory a worker may use, in bytes: an allocation over it fails with MemoryError, and "
            "a worker that uses more all the same is replaced. 0 is no limit. Linux only.",
            SCORING,
            flag="--worker_memory_limit",
            env=("AZMLINFSRV_WORKER_MEMORY_LIMIT",),
        ),
    ] = 0
    warmup_requests: Annotated[
        str | None,
        Setting(
            "Folder of samples that every worker scores before it is given calls. A script that "
            "fails them is not served.",
            SCORING,
            flag="--warmup_requests",
            env=("AZMLINFSRV_WARMUP_REQUESTS",),
        ),
    ] = None
    drain_timeout_s: Annotated[
        Seconds,
        Setting(
            "Seconds that calls in flight have to finish when the server is told to stop.",
            SCORING,
            flag="--drain_timeout",
            env=("AZMLINFSRV_DRAIN_TIMEOUT_S",),
        ),
    ] = 30.0
    interrupt_grace_s: Annotated[
        Seconds,
        Setting(
            "Seconds an interrupted run() has to end before its worker is replaced.",
            SCORING,
            flag="--interrupt_grace",
            env=("AZMLINFSRV_INTERRUPT_GRACE_S",),
        ),
    ] = 1.0
    nan: Annotated[
        Literal["keep", "null", "error"],
        Setting(
            "What NaN and Infinity in a result become: kept as they are (not valid JSON), "
            "null, or an error.",
            SCORING,
            flag="--nan",
            env=("AZMLINFSRV_NAN",),
        ),
    ] = "keep"
    quick_json: Annotated[
        bool,
        Setting(
            "Let json.loads in the script read large texts with orjson, where that gives the "
            "same value.",
            SCORING,
            flag="--quick_json",
            env=("AZMLINFSRV_QUICK_JSON",),
        ),
    ] = True
    in_process: Annotated[
        bool,
        Setting(
            "Run the script inside the server's own process: for debuggers and tests.",
            SCORING,
            flag="--in_process",
            env=("AZMLINFSRV_IN_PROCESS",),
            is_switch=True,
        ),
    ] = False

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        Setting(
            "Lowest level that is logged.",
            LOGS,
            flag="--log_level",
            env=("AZUREML_LOG_LEVEL",),
            attribute="log_level",
            reader=read_log_level,
            # The reference server accepts any text and ignores it.
            is_forgiving=True,
        ),
    ] = "INFO"
    log_format: Annotated[
        Literal["text", "json"],
        Setting(
            "How a log record is written: a line of text, or a JSON object a line.",
            LOGS,
            flag="--log_format",
            env=("AZMLINFSRV_LOG_FORMAT",),
        ),
    ] = "text"
    access_log: Annotated[
        bool,
        Setting(
            "Write a second line for each request, in the common access log format.",
            LOGS,
            flag="--access_log",
            env=("AZMLINFSRV_ACCESS_LOG",),
            is_switch=True,
        ),
    ] = False

    app_insights_enabled: Annotated[
        bool,
        Setting(
            "Send telemetry to Application Insights; needs the key. In the environment only "
            "'true' turns it on.",
            TELEMETRY,
            env=("AML_APP_INSIGHTS_ENABLED",),
            attribute="app_insights_enabled",
            reader=read_exactly_true,
        ),
    ] = False
    app_insights_key: Annotated[
        Secret | None,
        Setting(
            "Instrumentation key of Application Insights; the flag turns telemetry on as well.",
            TELEMETRY,
            flag="--appinsights_instrumentation_key",
            env=("AML_APP_INSIGHTS_KEY",),
            attribute="app_insights_key",
        ),
    ] = None
    app_insights_log_response_enabled: Annotated[
        bool,
        Setting(
            "Copy response bodies into telemetry.",
            TELEMETRY,
            env=("APP_INSIGHTS_LOG_RESPONSE_ENABLED",),
            attribute="app_insights_log_response_enabled",
        ),
    ] = True
    mdc_storage_enabled: Annotated[
        bool,
        Setting(
            "Collect inputs and outputs of the model (model data collection).",
            TELEMETRY,
            env=("AML_MDC_STORAGE_ENABLED", "AML_MODEL_DC_STORAGE_ENABLED"),
            attribute="mdc_storage_enabled",
        ),
    ] = False

    metrics: Annotated[
        bool,
        Setting(
            "Count requests, calls and batches, and tell at /metrics, as Prometheus reads it. "
            "Needs the extra [metrics].",
            TELEMETRY,
            flag="--metrics",
            env=("AZMLINFSRV_METRICS",),
            is_switch=True,
        ),
    ] = False

    record_dir: Annotated[
        str | None,
        Setting(
            "Folder to keep requests and their answers in, as files to be sent again: every "
            "failure, and a sample of the successes.",
            TELEMETRY,
            flag="--record",
            env=("AZMLINFSRV_RECORD_DIR",),
        ),
    ] = None
    record_sample_rate: Annotated[
        float,
        Meta(ge=0, le=1),
        Setting(
            "Part of the successes that --record keeps: 0 is none, 1 is all.",
            TELEMETRY,
            flag="--record_sample_rate",
            env=("AZMLINFSRV_RECORD_SAMPLE_RATE",),
        ),
    ] = 0.01
    record_max_bytes: Annotated[
        int,
        Meta(ge=64 * 1024),
        Setting(
            "Size of the folder of --record in bytes; the oldest recordings make room.",
            TELEMETRY,
            flag="--record_max_bytes",
            env=("AZMLINFSRV_RECORD_MAX_BYTES",),
            default_text="104857600 (100 MiB)",
        ),
    ] = 100 * _MIB
    record_redact: Annotated[
        str,
        Setting(
            "More names, separated by commas, of headers, query parameters and JSON fields "
            "that --record blanks. Authorization, API keys and cookies always are.",
            TELEMETRY,
            flag="--record_redact",
            env=("AZMLINFSRV_RECORD_REDACT",),
        ),
    ] = ""

    service_name: Annotated[
        str,
        Setting(
            "Name of the service in Swagger documents and telemetry.",
            SERVICE,
            flag="--service_name",
            env=("SERVICE_NAME",),
            attribute="service_name",
        ),
    ] = "ML service"
    service_version: Annotated[
        str,
        Setting(
            "Version of the service in Swagger documents.",
            SERVICE,
            flag="--service_version",
            env=("SERVICE_VERSION",),
            attribute="service_version",
        ),
    ] = "1.0"
    service_path_prefix: Annotated[
        str,
        Setting(
            "Prefix of the paths printed in Swagger documents; routes do not change.",
            SERVICE,
            flag="--service_path_prefix",
            env=("SERVICE_PATH_PREFIX",),
            attribute="service_path_prefix",
        ),
    ] = ""
    workspace_name: Annotated[
        str,
        Setting(
            "Workspace that telemetry names.",
            SERVICE,
            flag="--workspace_name",
            env=("WORKSPACE_NAME",),
            attribute="workspace_name",
        ),
    ] = ""
    hostname: Annotated[
        str,
        Setting(
            "Container that telemetry names.",
            SERVICE,
            env=("HOSTNAME",),
            attribute="hostname",
        ),
    ] = "Unknown"
    server_version_enabled: Annotated[
        bool,
        Setting(
            "Send this server's own version in x-ms-server-version. In the environment "
            "anything but 'true' turns it off.",
            SERVICE,
            env=("SERVER_VERSION_LOG_RESPONSE_ENABLED",),
            reader=read_true,
        ),
    ] = True
    server_version: Annotated[
        str,
        Setting(
            "The x-ms-server-version response header while our own version is not sent; "
            "empty is no header.",
            SERVICE,
            env=("HTTP_X_MS_SERVER_VERSION",),
        ),
    ] = f"azmlinfsrv/{__version__}"
    transport_protocol: Annotated[
        Literal["grpc", "rest"],
        Setting(
            "Value of TRANSPORT_PROTOCOL in the script's environment; nothing reads it.",
            SERVICE,
            flag="--rest",
            env=(),
            is_switch=True,
            is_hidden=True,
            in_file=False,
        ),
    ] = "grpc"
