from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from DGSTSegmentLib.imaging.findings import find
from DGSTSegmentLib.imaging.phantoms import DOMAINS, make_phantom
from DGSTSegmentLib.imaging.phantoms.nodes import _sample_shape


@pytest.fixture(scope="module", params=list(DOMAINS))
def domain(request):
    return DOMAINS[request.param]


@pytest.fixture(scope="module")
def phantoms(domain):
    return [make_phantom(domain, seed) for seed in range(6)]


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(domain, phantoms):
    again = make_phantom(domain.name, 1)
    np.testing.assert_array_equal(again.ct.array, phantoms[1].ct.array)
    np.testing.assert_array_equal(again.nodes.array, phantoms[1].nodes.array)
    assert again.ct.array.shape != phantoms[2].ct.array.shape or (again.ct.array != phantoms[2].ct.array).any()


def test_a_phantom_has_air_fat_soft_tissue_and_bone(phantoms):
    for phantom in phantoms:
        hu = phantom.ct.array
        assert hu.dtype == np.int16
        parts = [(hu < -800), (hu > -130) & (hu < -70), (hu > 20) & (hu < 120), (hu > 300)]
        assert all(part.mean() > 0.001 for part in parts)


def test_nodes_have_the_density_of_their_domain(domain, phantoms):
    low, high = domain.node_hu
    means = []
    for phantom in phantoms:
        core = ndimage.binary_erosion(phantom.nodes.array > 0, iterations=2)
        if core.any():
            means.append(phantom.ct.array[core].mean())
    assert low - 25 < np.mean(means) < high + 10


def test_every_node_is_one_value_and_lies_inside_the_body(phantoms):
    for phantom in phantoms:
        values = np.unique(phantom.nodes.array)
        np.testing.assert_array_equal(values, np.arange(len(values)))
        assert len(find(phantom.nodes, instances="values").items) == len(values) - 1
        assert (phantom.ct.array[phantom.nodes.array > 0] < -600).sum() <= 0.02 * (phantom.nodes.array > 0).sum()


def test_sizes_follow_what_lymph_node_surveys_report(domain):
    """Extents of 9 to 34 mm with a median volume of 3 to 4 mL, and small nodes down to 4 mm."""
    rng = np.random.default_rng(0)
    semi_axes = np.array([_sample_shape(domain, rng).semi_axes for _ in range(4000)])
    long_axis = 2 * semi_axes[:, 2]
    volume_ml = 4 / 3 * np.pi * semi_axes.prod(axis=1) / 1000
    usual = long_axis >= 9
    assert 3 <= np.median(volume_ml[usual]) <= 4
    assert long_axis.min() >= 4 and long_axis.max() <= 34
    assert 0.15 < (~usual).mean() < 0.4


def test_scans_without_nodes_have_none(domain):
    assert 0 < domain.empty_scans < 0.5
    assert not make_phantom(replace(domain, empty_scans=1.0), 0).nodes.array.any()


def test_some_nodes_touch(domain):
    assert any(_has_touching(make_phantom(domain, seed).nodes.array) for seed in range(20))


def _has_touching(labels):
    components, count = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    return any(len(np.unique(labels[components == n])) > 1 for n in range(1, count + 1))


def test_the_domains_differ_in_spacing_noise_density_and_lookalikes():
    source, target = DOMAINS["source"], DOMAINS["target"]
    assert target.slice_mm[0] > source.slice_mm[1] and target.noise_hu[0] > source.noise_hu[1]
    assert target.node_hu[1] < source.node_hu[0] and target.kernel_mm[1] < source.kernel_mm[0]
    assert source.lookalike_count == (0, 0) and target.lookalike_count[0] > 0


def test_an_unknown_domain_is_refused():
    with pytest.raises(ValueError, match="source, target, not 'pelvis'"):
        make_phantom("pelvis", 0)
