"""J5: refresh, a stolen refresh token kills its family, logout and logout-all."""

from functools import partial

from e2e_support.people import Person

from antiphon_common.testing.running import eventually


async def refresh(person: Person, token: str) -> tuple[int, dict[str, str]]:
    answer = await person.http.post("/api/auth/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json()


async def test_a_refresh_rotates_and_reuse_kills_the_family(ada: Person) -> None:
    first = ada.refresh
    status, second = await refresh(ada, first)
    assert status == 200
    status, again = await refresh(ada, first)
    assert (status, again["refresh_token"]) == (200, second["refresh_token"]), "a lost answer is given again"
    status, third = await refresh(ada, second["refresh_token"])
    assert status == 200
    status, _ = await refresh(ada, first)
    assert status == 401, "a generation that is not the immediate predecessor is a theft"
    assert (await refresh(ada, third["refresh_token"]))[0] == 401
    ada.access = third["access_token"]
    await eventually(lambda: ada.status("GET", "/api/me"), lambda code: code == 401, seconds=5)


async def test_logout_ends_the_session_at_once(ada: Person) -> None:
    assert await eventually(lambda: ada.status("GET", "/api/me"), lambda code: code == 200) == 200
    body = {"refresh_token": ada.refresh}
    assert await ada.status("POST", "/api/auth/logout", json=body) == 204
    assert (await refresh(ada, ada.refresh))[0] == 401
    await eventually(lambda: ada.status("GET", "/api/me"), lambda code: code == 401, seconds=5)


async def test_logout_all_ends_every_session(url: str, ada: Person) -> None:
    async with Person(url, ada.name, ada.email) as phone:
        await phone.login()
        sessions = await ada.get("/api/auth/sessions")
        assert len(sessions["items"]) == 2
        assert await phone.status("POST", "/api/auth/logout-all") == 204
        for person in (ada, phone):
            assert (await refresh(person, person.refresh))[0] == 401
            await eventually(partial(person.status, "GET", "/api/me"), lambda code: code == 401, seconds=5)
        await ada.login()
        assert await ada.status("GET", "/api/auth/sessions") == 200


async def test_one_session_is_revoked_by_its_id_and_nobody_elses(url: str, ada: Person, bob: Person) -> None:
    async with Person(url, ada.name, ada.email) as phone:
        await phone.login()
        sessions = (await ada.get("/api/auth/sessions"))["items"]
        other = next(session for session in sessions if not session["current"])
        assert await bob.status("DELETE", f"/api/auth/sessions/{other['id']}") == 404
        assert await ada.status("DELETE", f"/api/auth/sessions/{other['id']}") == 204
        assert (await refresh(phone, phone.refresh))[0] == 401
        assert (await refresh(ada, ada.refresh))[0] == 200
