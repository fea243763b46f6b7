"""Versions, aliases, rollback and rollouts over REST and the CLI, against one controller and an
agent that is played by the test; every reply is checked against docs/openapi.yaml."""

import os
import re

import pytest
from lib import PREFIX, run, wait_for
from rest import FUNCTIONS


@pytest.fixture
def controller(make_controller):
    return make_controller().start()


def deploy(controller, agent, name, **more):
    """Deploys, and the agent says that it is ready."""
    package = controller.upload(b"#!/bin/sh\necho hi\n")
    body = {"spec": {"runtime": "exec", "handler": "run.sh"}, "package": package, **more}
    reply = controller.call("PUT", f"{FUNCTIONS}/{name}", body)
    assert reply.status_code in (200, 201), reply.text
    number = reply.json()["latest_version"]
    agent.send(version_report={"namespace": "default", "name": name, "version": number,
                               "ready": True})
    version = controller.call("GET", f"{FUNCTIONS}/{name}/versions/{number}?wait_ms=10000").json()
    assert version["state"] == "ready", version
    return number


def mayfly(controller, *args, check=True):
    env = dict(os.environ, MAYFLY_URL=f"http://127.0.0.1:{controller.port}", NO_COLOR="1")
    return run([PREFIX / "bin" / "mayfly", *args], env=env, check=check)


def calls(agent, name, version, invocations, errors):
    agent.report([{"namespace": "default", "name": name, "version": version,
                   "invocations": invocations, "errors": errors}], full=False)


def test_publications_and_aliases(controller):
    """All routes of versions and aliases, used rightly and wrongly."""
    with_agent = controller.agent("n1")
    for _ in range(3):
        deploy(controller, with_agent, "f")
    f = f"{FUNCTIONS}/f"
    first = controller.call("POST", f"{f}/versions", {"version": 2, "description": "May"},
                            expect=201).json()
    assert (first["number"], first["published"], first["description"]) == (2, 1, "May")
    again = controller.call("POST", f"{f}/versions", expect=200).json()
    assert again["number"] == 2  # the latest has the same spec and package
    controller.error(404, "POST", f"{f}/versions", {"version": 9}, "not_found", "version")
    controller.error(400, "POST", f"{f}/versions", {"version": "x"}, "bad_request", "version")

    live = {"weights": [{"version": 1, "weight": 87.5}, {"version": 3, "weight": 12.5}]}
    alias = controller.call("PUT", f"{f}/aliases/live", live, expect=201).json()
    assert alias["weights"] == live["weights"]
    assert controller.call("PUT", f"{f}/aliases/live", live, expect=200)
    assert controller.call("GET", f"{f}/aliases").json()["items"][0]["name"] == "live"
    assert controller.call("GET", f"{f}/aliases/live", expect=200)
    for body, field in (({"weights": []}, "weights"), ({}, "weights"),
                        ({"weights": [{"version": 1, "weight": 99}]}, "weights"),
                        ({"weights": [{"version": 1, "weight": 101}]}, "weights"),
                        ({**live, "description": 7}, "description"),
                        ({**live, "split": 1}, "split")):
        controller.error(400, "PUT", f"{f}/aliases/live", body, "bad_request", field)
    controller.error(400, "PUT", f"{f}/aliases/12", live, "bad_request", "alias")
    controller.error(404, "GET", f"{f}/aliases/nobody", code="not_found")
    assert "live" in controller.error(409, "DELETE", f"{f}/versions/1", code="conflict")["message"]
    controller.call("DELETE", f"{f}/aliases/live", expect=204)
    controller.call("DELETE", f"{f}/versions/1", expect=204)
    assert [v["number"] for v in controller.call("GET", f"{f}/versions").json()["items"]] == [2, 3]
    with_agent.close()


def test_the_command_line(controller):
    """The verbs say what they did, and exit by what went wrong."""
    agent = controller.agent("n1")
    for _ in range(2):
        deploy(controller, agent, "f")
    assert mayfly(controller, "publish", "f").stdout == "published default/f version 2 as 1\n"
    out = mayfly(controller, "alias", "set", "f", "live", "v1=12.5,v2=87.5").stdout
    assert out.startswith("alias default/f:live is v1=12.5,v2=87.5\n")
    assert "live" in mayfly(controller, "versions", "f").stdout
    assert "v1=12.5,v2=87.5" in mayfly(controller, "alias", "list", "f").stdout
    assert mayfly(controller, "rollback", "f").stdout == "default/f: version 1 serves\n"
    assert mayfly(controller, "rollback", "f", check=False).returncode == 7
    assert mayfly(controller, "alias", "set", "f", "live", "x", check=False).returncode == 2
    assert mayfly(controller, "alias", "delete", "f", "old", check=False).returncode == 3
    assert "nothing of default/f" in mayfly(controller, "rollout", "status", "f").stderr
    mayfly(controller, "alias", "delete", "f", "live")
    agent.close()


def test_a_rollout(controller):
    """Goes on with calls that succeed, is there after a restart, and goes back with the others."""
    agent = controller.agent("n1")
    deploy(controller, agent, "f")
    plan = {"steps": [10, 50], "step_ms": 100, "min_calls": 10, "max_error_rate": 5}
    controller.error(400, "PUT", f"{FUNCTIONS}/f", {
        "spec": {}, "package": {}, "rollout": {"steps": [50, 10]}}, "bad_request",
        "rollout.steps")
    deploy(controller, agent, "f", rollout=plan)

    def rollout():
        return controller.call("GET", f"{FUNCTIONS}/f").json()["rollout"]

    assert (rollout()["state"], rollout()["weight"]) == ("running", 10)
    calls(agent, "f", 2, 20, 0)
    wait_for("the second step", lambda: rollout()["weight"] == 50)
    assert "running: version 2 has 50 % of the calls" in mayfly(
        controller, "rollout", "status", "f").stdout
    controller.stop()
    agent.close()
    controller.start()
    assert (rollout()["state"], rollout()["weight"]) == ("running", 50)
    agent = controller.agent("n1")
    rounds = 0

    def goes_back():
        # What came before the new controller watches this step does not count for it.
        nonlocal rounds
        rounds += 1
        calls(agent, "f", 2, 40 * rounds, 30 * rounds)
        return rollout()["state"] == "back"

    wait_for("the way back", goes_back)
    assert re.search(r"\d+ of \d+ calls failed, more than 5 %", rollout()["message"])
    f = controller.call("GET", f"{FUNCTIONS}/f").json()
    assert f["serving_version"] == 1 and f["versions"][1]["state"] == "failed"
    agent.close()
