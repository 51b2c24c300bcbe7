"""CSV in, CSV out: adds the body mass index to a table of people."""

import csv
import io

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


def run(data):
    rows = list(csv.DictReader(io.StringIO(data)))
    for row in rows:
        row["bmi"] = round(float(row["weight_kg"]) / float(row["height_m"]) ** 2, 1)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["name", "bmi"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return AMLResponse(text.getvalue(), 200, {"Content-Type": "text/csv; charset=utf-8"})
