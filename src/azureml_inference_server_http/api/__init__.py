"""What entry scripts import: `aml_request` and `aml_response`."""
