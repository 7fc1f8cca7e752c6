# SPDX-License-Identifier: Apache-2.0
"""How is a project protected? By what is in it: of the project itself only its name is kept."""

from karbor.plugins.resources.cloudtypes import PROJECT
from karbor.sdk.options import Options, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work


class ProjectProtection(Protection):
    """A plan that names a project covers its servers, volumes, images, networks, shares and databases at each run, as
    far as the provider has plug-ins for them. A restore puts them into the project of whoever restores."""

    resource_types = (PROJECT,)

    class Saved(Options):
        """What the checkpoint keeps."""

        name: str = required("Name of the project.")

    def protect(self, work: Work) -> Protected:
        """Keep the name."""
        return Protected({"name": work.resource.name})

    def restore(self, work: Work) -> Restored:
        """Nothing is made: projects are the business of administrators."""
        return Restored(work.project_id)

    def restore_plan(self, work: Work) -> RestorePlan:
        """The project stays as it is."""
        return RestorePlan(keeps=[{"name": work.resource.name}])
