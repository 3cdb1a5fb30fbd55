"""The order of resources."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerostat.services.orchestration.graph import Graph
from aerostat.services.orchestration.template.errors import CircularDependencyException

NAMES = "abcdefgh"


@st.composite
def without_circles(draw):
    """Each may require those before it."""
    return {
        name: draw(st.sets(st.sampled_from(NAMES[:index]))) if index else set()
        for index, name in enumerate(NAMES)
    }


@given(without_circles())
def test_orders(requires):
    graph = Graph(requires)
    forward, backward = list(graph), list(reversed(graph))
    assert sorted(forward) == sorted(requires)
    for name, others in requires.items():
        assert all(forward.index(one) < forward.index(name) for one in others)
        assert all(backward.index(one) > backward.index(name) for one in others)
        assert all(name in graph.required_by(one) for one in others)


@given(without_circles(), st.randoms())
def test_what_is_ready_always_leads_to_the_end(requires, random):
    graph = Graph(requires)
    done: list[str] = []
    while ready := graph.ready_to_create(done):
        name = random.choice(ready)
        assert graph.requires(name) <= set(done)
        assert name not in graph.ready_to_create(done, started=[name])
        done.append(name)
    assert len(done) == len(graph)
    gone: list[str] = []
    while ready := graph.ready_to_delete(gone):
        name = random.choice(ready)
        assert graph.required_by(name) <= set(gone)
        gone.append(name)
    assert len(gone) == len(graph)


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES))))
def test_a_graph_has_an_order_or_a_circle(requires):
    try:
        graph = Graph(requires)
    except CircularDependencyException as caught:
        error = caught
    else:
        assert set(graph) == set(requires).union(*requires.values())
        return
    assert error.cycle[0] == error.cycle[-1]
    assert all(two in requires[one] for one, two in pairwise(error.cycle))
    assert " -> ".join(error.cycle) in str(error)
    assert error.kind == "CircularDependencyException"


def test_small_graph():
    graph = Graph({"server": ["port", "volume"], "port": ["net"], "volume": []})
    assert graph.ready_to_create([]) == sorted(graph.ready_to_create([]), key=list(graph).index)
    assert set(graph.ready_to_create([])) == {"net", "volume"}
    assert graph.ready_to_create(["net"], started=["volume"]) == ["port"]
    assert graph.ready_to_delete([]) == ["server"]
    assert graph.required_by("net") == {"port"}
    assert "net" in graph
    assert len(graph) == 4
    with pytest.raises(KeyError):
        graph.requires("nobody")


def test_the_circle_is_told():
    with pytest.raises(CircularDependencyException) as caught:
        Graph({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})
    assert str(caught.value).startswith("Circular Dependency Found: ")
    assert sorted(caught.value.cycle[1:]) == ["a", "b", "c"]
