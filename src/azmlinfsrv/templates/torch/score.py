"""The sum of two numbers, as a small network has learnt it."""

import json
import os
from pathlib import Path

import torch
from network import Network

network = None
device = "cuda" if torch.cuda.is_available() else "cpu"


def init():
    """Called once, before the first request."""
    global network
    weights = Path(os.environ["AZUREML_MODEL_DIR"]) / "weights.pt"
    network = Network()
    network.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    network.to(device).eval()


def run(data):
    """Called for every request with its body, a str."""
    rows = torch.tensor(json.loads(data)["data"], dtype=torch.float32, device=device)
    with torch.inference_mode():
        return {"sum": network(rows).squeeze(1).tolist()}
