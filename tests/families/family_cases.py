"""All cases by name, and their groups."""

import dense_families
import expert_families
import latent_families
import recurrent_families

GROUPS = {
    "dense": dense_families.CASES,
    "experts": expert_families.CASES,
    "latent": latent_families.CASES,
    "recurrent": recurrent_families.CASES,
}
CASES = {case.name: case for cases in GROUPS.values() for case in cases}
assert len(CASES) == sum(map(len, GROUPS.values())), "names of cases differ"
