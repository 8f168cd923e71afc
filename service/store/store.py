"""The store: one object with a part for each kind of resource. The only package that knows SQL."""

from service.store.access import Access, Leases, Repeats
from service.store.database import Database
from service.store.label_projects import LabelProjects
from service.store.labels import Labels
from service.store.overview import Overview
from service.store.resources import Adapters, Constitutions, Models, PreferenceSets, PromptSets
from service.store.runs import Runs


class Store:
    """Open with a database URL; `migrate()` once before use; `close()` at the end."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.access = Access(self.database)
        self.repeats = Repeats(self.database)
        self.leases = Leases(self.database)
        self.constitutions = Constitutions(self.database)
        self.prompt_sets = PromptSets(self.database)
        self.preference_sets = PreferenceSets(self.database)
        self.models = Models(self.database)
        self.adapters = Adapters(self.database)
        self.labels = Labels(self.database)
        self.label_projects = LabelProjects(self.database)
        self.runs = Runs(self.database)
        self.overview = Overview(self.database)

    async def migrate(self) -> None:
        await self.database.migrate()

    async def close(self) -> None:
        await self.database.close()
