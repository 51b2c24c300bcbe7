"""Logging, print, and the headers of the request."""

import json
import logging

log = logging.getLogger("orders")


def init():
    log.info("ready for orders")


def run(data, request_headers):
    order = json.loads(data)
    tenant = request_headers.get("X-Tenant", "unknown")
    log.info("order %s of tenant %s", order["id"], tenant)
    print("items:", len(order["items"]))
    if not order["items"]:
        log.warning("order %s is empty", order["id"])
    return {"id": order["id"], "tenant": tenant, "accepted": bool(order["items"])}
