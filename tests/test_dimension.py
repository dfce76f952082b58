import numpy as np
import pytest
import torch

from neurotorch import Dimension, DimensionProperty, Size
from neurotorch.modules.base import NamedModule, SizedModule

TIME, SPATIAL = DimensionProperty.TIME, DimensionProperty.SPATIAL


def test_dimension_has_a_size_a_meaning_and_a_name():
    assert (Dimension().size, Dimension().dtype, Dimension().name) == (None, DimensionProperty.NONE, "NONE")
    assert Dimension(3, TIME).name == "TIME"
    assert int(Dimension(np.int64(3))) == 3
    assert type(Dimension(np.int64(3)).size) is int
    assert str(Dimension(3, TIME, "steps")) == repr(Dimension(3, TIME, "steps")) == "steps:[3, TIME]"
    assert Dimension.from_int(4) == Dimension.from_int_or_dimension(4) == Dimension(4)
    given = Dimension(4, SPATIAL)
    assert Dimension.from_int_or_dimension(given) is given
    with pytest.raises(TypeError, match="no size"):
        int(Dimension())
    with pytest.raises(TypeError, match="size"):
        Dimension(1.5)


def test_dimensions_compare_by_size_and_meaning():
    assert Dimension(3, name="a") == Dimension(3, name="b") == 3 == np.int32(3)
    assert Dimension(3, TIME) != 3
    assert Dimension(3) != 4
    for other in (None, 3.0, "3", torch.Size([3]), [3]):
        assert Dimension(3) != other
    assert len({Dimension(3), 3, Dimension(3, TIME), Dimension(3, TIME, "x")}) == 2


def test_size_is_a_list_of_dimensions():
    size = Size([10, Dimension(3, TIME)])
    assert str(size) == repr(size) == "Size[0:NONE:[10, NONE], 1:TIME:[3, TIME]]"
    assert len(size) == 2
    assert size[1] == Dimension(3, TIME)
    assert list(size) == [10, Dimension(3, TIME)]
    assert size == Size((10, Dimension(3, TIME)))
    assert hash(size) == hash(Size(size))
    assert size != Size(10)
    assert size != [10]
    assert Size(5)[0] == 5
    assert Size(Dimension(5))[0] == 5


@pytest.mark.parametrize(
    "size", [5, np.int64(5), Dimension(5), [5], (Dimension(7, TIME), 5), Size([5, Dimension(7, TIME)]), torch.Size([5])]
)
def test_sizes_of_modules_drop_time(size):
    module = SizedModule(size, size)
    assert module.input_size == module.output_size == Dimension(5)
    module.input_size = None
    assert module.input_size is None


def test_sizes_of_modules_that_make_no_sense():
    with pytest.raises(ValueError, match="one dimension of features"):
        SizedModule([3, 4])
    with pytest.raises(ValueError, match="one dimension of features"):
        SizedModule([Dimension(3, TIME)])
    with pytest.raises(AssertionError, match="time"):
        SizedModule([Dimension(3, TIME), Dimension(3, TIME), 4])
    for size in (1.5, "5", [1.5]):
        with pytest.raises(AssertionError, match="size"):
            SizedModule(size)


def test_names_of_modules():
    module = NamedModule()
    assert (module.name, module.name_is_set) == ("NamedModule", False)
    module.name = "a"
    assert (module.name, module.name_is_set, NamedModule("a").name_is_set) == ("a", True, True)
    with pytest.raises(AssertionError, match="name"):
        module.name = 3
