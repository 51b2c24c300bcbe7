"""The other service: `GET /price/NAME` answers the price of an item. `python service.py [PORT]`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICES = {"apple": 30, "pear": 45}


class Prices(BaseHTTPRequestHandler):
    def do_GET(self):
        price = PRICES.get(self.path.rpartition("/")[2])
        body = json.dumps({"price": price}).encode()
        self.send_response(404 if price is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8081
    ThreadingHTTPServer(("127.0.0.1", port), Prices).serve_forever()
