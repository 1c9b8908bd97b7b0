"""Search spaces: which architectures may be proposed; their exact size, sampling, enumeration, neighbours, arrays."""

from nas.space.encoding import Encoded
from nas.space.genotype import Genotype, Part, PartKey
from nas.space.search_space import SearchSpace
from nas.space.walk import Chooser, Decision

__all__ = ["Chooser", "Decision", "Encoded", "Genotype", "Part", "PartKey", "SearchSpace"]
