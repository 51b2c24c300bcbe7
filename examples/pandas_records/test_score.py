"""Tests of the script, in process: `python -m pytest` in this folder."""

import pytest

pytestmark = pytest.mark.entry_script("score.py")


@pytest.mark.parametrize(("weight_kg", "hours"), [(3, 2.0), (20, 2.0), (21, 3.0)])
def test_heavy_parcels_take_longer(scoring_client, weight_kg, hours):
    parcel = {"parcel": "a", "distance_km": 120, "weight_kg": weight_kg}

    answer = scoring_client.score([parcel])

    assert answer.json() == [{"parcel": "a", "hours": hours}]


def test_a_missing_column_is_the_clients_mistake(scoring_client):
    answer = scoring_client.score([{"parcel": "a", "distance_km": 120}])

    assert answer.status == 400
    assert answer.json() == {"missing columns": ["weight_kg"]}
