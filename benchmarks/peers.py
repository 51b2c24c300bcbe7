"""The servers that are compared, as data: a new one is one entry in `PEERS`.

A peer says what to install, which files to write beside the job's ``score.py``, how to start, and
where to ask. Servers with a request format of their own say how to wrap a body and unwrap an
answer. A job that likes many rows at once gets the batching of every server that has it, of up to
`BATCH_ROWS` rows, waiting `BATCH_WAIT_MS` for them where a server wants a time; ours does not
wait. Ours gets threads for the job that waits. Everything else is each server's default, as its
users get it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.jobs import Job

CHECKOUT = Path(__file__).parent.parent
BATCH_ROWS = 64
BATCH_WAIT_MS = 5


@dataclass(frozen=True, slots=True)
class Start:
    """What a start command and an app file are made of."""

    job: Job
    bin: Path
    port: int
    workers: int
    spare_ports: tuple[int, ...]

    @property
    def python(self) -> str:
        return str(self.bin / "python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One server.

    ``files`` gives name to text, written into the folder of ``score.py``, which is the current
    directory of ``command``. ``distribution`` is the package whose version is reported.
    ``awaits`` says that it takes part in jobs whose script is coroutines.
    """

    name: str
    distribution: str
    packages: tuple[str, ...]
    command: Callable[[Start], list[str]]
    files: Callable[[Start], dict[str, str]] = lambda start: {}
    awaits: bool = False
    score_path: str = "/score"
    health_path: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    wrap: Callable[[Job, bytes], bytes] = lambda job, body: body
    unwrap: Callable[[Any], Any] = lambda answer: answer


def _azmlinfsrv(start: Start) -> list[str]:
    return [
        str(start.bin / "azmlinfsrv"),
        "--entry_script",
        "score.py",
        "--port",
        str(start.port),
        "--worker_count",
        str(start.workers),
    ]


def _ours(start: Start) -> list[str]:
    """Ours as our users would start it for the job: threads to wait in, batches to fill."""
    command = _azmlinfsrv(start)
    if start.job.waits:
        return [*command, "--threads", "64"]
    if start.job.batches:
        command[command.index("score.py")] = "batched.py"
    return command


def _batched(start: Start) -> dict[str, str]:
    if not start.job.batches:
        return {}
    return {
        "batched.py": f"""\
import json
from typing import Any

import score
from azmlinfsrv import batch

init = score.init


@batch(max_size={BATCH_ROWS})
def run(data: list[str]) -> list[Any]:
    rows = [row for body in data for row in json.loads(body)["data"]]
    return [[answer] for answer in score.predict({{"data": rows}})]
"""
    }


def _fastapi(start: Start) -> dict[str, str]:
    # A plain `def` runs in FastAPI's thread pool, which is the advice for code that blocks.
    definition = "def" if start.job.blocks else "async def"
    awaited = "await " if start.job.awaits else ""
    return {
        "app.py": f"""\
from typing import Any

import score
from fastapi import Body, FastAPI

score.init()
app = FastAPI()


@app.get("/")
async def health() -> str:
    return "Healthy"


@app.post("/score")
{definition} answer(value: Any = Body()) -> Any:
    return {awaited}score.predict(value)
"""
    }


def _litserve(start: Start) -> dict[str, str]:
    batching = ""
    if start.job.batches:
        batching = f"max_batch_size={BATCH_ROWS}, batch_timeout={BATCH_WAIT_MS / 1000}"
    return {
        "app.py": f"""\
import litserve
import score


class Api(litserve.LitAPI):
    def setup(self, device):
        score.init()

    def decode_request(self, request):
        return request

    def batch(self, inputs):
        return {{"data": [row for each in inputs for row in each["data"]]}}

    def predict(self, value):
        return score.predict(value)

    def unbatch(self, output):
        return [[row] for row in output]

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = Api({batching})
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device={start.workers})
    server.run(host="127.0.0.1", port={start.port}, generate_client_file=False)
"""
    }


def _bentoml(start: Start) -> dict[str, str]:
    if start.job.batches:  # a call is a list already, and lists are joined
        api = f"""\
    @bentoml.api(route="/score", batchable=True, max_batch_size={BATCH_ROWS})
    def answer(self, value: list[list[float]]) -> list[list[float]]:
        return score.predict({{"data": value}})
"""
    else:
        api = """\
    @bentoml.api(route="/score")
    def answer(self, value: Any) -> Any:
        return score.predict(value)
"""
    return {
        "service.py": f"""\
from typing import Any

import bentoml
import score


@bentoml.service(workers={start.workers})
class Score:
    def __init__(self) -> None:
        score.init()

{api}"""
    }


def _bentoml_wrap(job: Job, body: bytes) -> bytes:
    return (
        b'{"value": '
        + (json.dumps(json.loads(body)["data"]).encode() if job.batches else body)
        + b"}"
    )


def _mlserver(start: Start) -> dict[str, str]:
    http, grpc, metrics = (start.port, *start.spare_ports[:2])
    batching = {}
    if start.job.batches:
        batching = {"max_batch_size": BATCH_ROWS, "max_batch_time": BATCH_WAIT_MS / 1000}
    return {
        "settings.json": json.dumps(
            {
                "host": "127.0.0.1",
                "http_port": http,
                "grpc_port": grpc,
                "metrics_port": metrics,
                "parallel_workers": start.workers,
                "debug": False,
            }
        ),
        "model-settings.json": json.dumps(
            {"name": "score", "implementation": "model.Score", **batching}
        ),
        "model.py": """\
import json

import score
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse


class Score(MLModel):
    async def load(self):
        score.init()
        return True

    async def predict(self, payload):
        texts = StringCodec.decode_input(payload.inputs[0])
        if len(texts) == 1:
            answers = [score.predict(json.loads(texts[0]))]
        else:  # several calls, joined
            rows = [row for text in texts for row in json.loads(text)["data"]]
            answers = [[row] for row in score.predict({"data": rows})]
        output = StringCodec.encode_output("answer", [json.dumps(each) for each in answers])
        return InferenceResponse(model_name=self.name, outputs=[output])
""",
    }


def _mlserver_wrap(job: Job, body: bytes) -> bytes:
    tensor = {"name": "value", "shape": [1], "datatype": "BYTES", "data": [body.decode()]}
    return json.dumps({"inputs": [tensor]}).encode()


def _kserve(start: Start) -> dict[str, str]:
    return {
        "app.py": f"""\
import score
from kserve import Model, ModelServer


class Score(Model):
    def __init__(self):
        super().__init__("score")
        self.load()

    def load(self):
        score.init()
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        return {{"predictions": score.predict(payload)}}


if __name__ == "__main__":
    ModelServer(http_port={start.port}, workers={start.workers}, enable_grpc=False).start([Score()])
"""
    }


def _mosec(start: Start) -> dict[str, str]:
    forward, batching = "return score.predict(data)", ""
    if start.job.batches:
        batching = f", max_batch_size={BATCH_ROWS}, max_wait_time={BATCH_WAIT_MS}"
        forward = """\
rows = [row for each in data for row in each["data"]]
        return [[row] for row in score.predict({"data": rows})]"""
    return {
        "app.py": f"""\
import score
from mosec import Server, Worker


class Score(Worker):
    def __init__(self):
        super().__init__()
        score.init()

    def forward(self, data):
        {forward}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Score, num={start.workers}{batching})
    server.run()
"""
    }


def _ray(start: Start) -> dict[str, str]:
    ongoing = ""
    call = """\
    async def __call__(self, request):
        return score.predict(await request.json())
"""
    if start.job.batches:
        ongoing = f", max_ongoing_requests={2 * BATCH_ROWS}"  # its default of 5 bounds a batch
        call = f"""\
    @serve.batch(max_batch_size={BATCH_ROWS}, batch_wait_timeout_s={BATCH_WAIT_MS / 1000})
    async def predict(self, values):
        rows = [row for each in values for row in each["data"]]
        return [[row] for row in score.predict({{"data": rows}})]

    async def __call__(self, request):
        return await self.predict(await request.json())
"""
    return {
        "app.py": f"""\
import score
from ray import serve


@serve.deployment(num_replicas={start.workers}{ongoing})
class Score:
    def __init__(self):
        score.init()

{call}

if __name__ == "__main__":
    serve.start(http_options={{"host": "127.0.0.1", "port": {start.port}}})
    serve.run(Score.bind(), route_prefix="/score", blocking=True)
"""
    }


OURS = Peer(
    name="ours",
    distribution="azureml-inference-server-http",
    packages=(str(CHECKOUT),),
    command=_ours,
    files=_batched,
    awaits=True,
)

PEERS = {
    peer.name: peer
    for peer in (
        OURS,
        Peer(
            name="reference",
            distribution="azureml-inference-server-http",
            packages=("azureml-inference-server-http==1.5.1",),
            command=_azmlinfsrv,
        ),
        Peer(
            name="fastapi",
            distribution="fastapi",
            packages=("fastapi", "uvicorn[standard]"),
            files=_fastapi,
            awaits=True,
            command=lambda start: [
                *(start.python, "-m", "uvicorn", "app:app", "--host", "127.0.0.1"),
                *("--port", str(start.port), "--workers", str(start.workers)),
            ],
        ),
        Peer(
            name="litserve",
            distribution="litserve",
            packages=("litserve",),
            files=_litserve,
            command=lambda start: [start.python, "app.py"],
            score_path="/predict",
            health_path="/health",
        ),
        Peer(
            name="bentoml",
            distribution="bentoml",
            packages=("bentoml",),
            files=_bentoml,
            command=lambda start: [
                *(str(start.bin / "bentoml"), "serve", "service:Score"),
                *("--host", "127.0.0.1", "--port", str(start.port)),
            ],
            health_path="/livez",
            environment={"BENTOML_DO_NOT_TRACK": "True"},
            wrap=_bentoml_wrap,
        ),
        Peer(
            name="mlserver",
            distribution="mlserver",
            # Its workers call get_event_loop() without a loop, which newer uvloops refuse.
            packages=("mlserver", "uvloop<0.22"),
            files=_mlserver,
            command=lambda start: [str(start.bin / "mlserver"), "start", "."],
            score_path="/v2/models/score/infer",
            health_path="/v2/health/live",
            wrap=_mlserver_wrap,
            unwrap=lambda answer: json.loads(answer["outputs"][0]["data"][0]),
        ),
        Peer(
            name="kserve",
            distribution="kserve",
            packages=("kserve",),
            files=_kserve,
            command=lambda start: [start.python, "app.py"],
            score_path="/v1/models/score:predict",
            unwrap=lambda answer: answer["predictions"],
        ),
        Peer(
            name="mosec",
            distribution="mosec",
            packages=("mosec",),
            files=_mosec,
            command=lambda start: [
                *(start.python, "app.py", "--address", "127.0.0.1", "--port", str(start.port)),
                # In milliseconds. The default of 3 s is less than 64 calls of 50 ms take.
                *("--timeout", "60000"),
            ],
            score_path="/inference",
        ),
        Peer(
            name="ray",
            distribution="ray",
            packages=("ray[serve]",),
            files=_ray,
            command=lambda start: [start.python, "app.py"],
            health_path="/-/healthz",
            environment={"RAY_USAGE_STATS_ENABLED": "0"},
        ),
    )
}
