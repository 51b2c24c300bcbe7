"""Asks another service for the price of each item, all at once."""

import asyncio
import json
import os

import httpx

client = None


async def init():
    global client
    address = os.environ.get("PRICE_SERVICE", "http://127.0.0.1:8081")
    client = httpx.AsyncClient(base_url=address, timeout=5)


async def run(data):
    items = json.loads(data)["items"]
    prices = await asyncio.gather(*(price(item) for item in items))
    return {"prices": dict(zip(items, prices, strict=True)), "total": sum(prices)}


async def price(item):
    answer = await client.get(f"/price/{item}")
    answer.raise_for_status()
    return answer.json()["price"]
