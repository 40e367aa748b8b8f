"""Events in: the same use cases, another door."""

from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.ingesting import apply_upload, forget_upload
from antiphon_catalog.usecases.projecting import apply_likes, apply_plays, apply_profile, erase_account
from antiphon_common.bus.consuming import Handlers
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.file import UploadDeleted, UploadReady
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.user import ProfileChanged

HANDLERS: Handlers[Unit] = {
    UploadReady: apply_upload,
    UploadDeleted: forget_upload,
    TrackLikesCounted: apply_likes,
    TrackPlaysCounted: apply_plays,
    ProfileChanged: apply_profile,
    AccountDeleted: erase_account,
}
