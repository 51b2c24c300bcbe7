"""``python -m azureml_inference_server_http`` is `azmlinfsrv` (R1.1)."""

from __future__ import annotations

from azmlinfsrv.__main__ import main

if __name__ == "__main__":
    main()
