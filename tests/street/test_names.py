"""The name of a device leads to its active twin, asked from inside the cluster."""

import pytest
from demo import DEVICES, find_address, get, until

pytestmark = pytest.mark.demo


def test_the_name_of_each_device_leads_to_its_twin():
    asked_by = get("smartmeter", "house-1")["status"]["twin"]["pod"]
    for device in DEVICES:
        pod = get("smartmeter", device)["status"]["twin"]["pod"]
        address = get("pod", pod)["status"]["podIP"]
        until(
            lambda device=device, address=address: find_address(device, asked_by) == address,
            f"{device} is found at {address}",
        )


def test_a_device_that_nobody_declared_has_no_name():
    asked_by = get("smartmeter", "house-1")["status"]["twin"]["pod"]
    assert find_address("house-99", asked_by) == ""
