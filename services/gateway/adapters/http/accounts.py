"""Accounts, sessions and account tokens over HTTP."""

from typing import Annotated

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from services.gateway.adapters.http.parameters import ERRORS, After, Limit
from services.gateway.adapters.http.views import AccountView, LogIn, NewName, NewToken, SignUp, TokenPage, TokenView
from services.gateway.adapters.http.who import COOKIE, AnyRequest, Callers, address
from services.gateway.core.pages import DEFAULT_LIMIT, Paging
from services.gateway.handlers.accounts import Account, Accounts


class AccountsController(Controller):
    """Sign up, log in, log out, who am I."""

    path = "/v1"
    tags = ("Accounts",)

    @post("/accounts", security=[], responses=ERRORS)
    async def sign_up(
        self, data: JSONBody[SignUp], accounts: NamedDependency[Accounts], request: AnyRequest
    ) -> AccountView:
        """Make an account."""
        return AccountView.of(await accounts.sign_up(data.email, data.password, address(request)))

    @post("/sessions", security=[], responses=ERRORS)
    async def log_in(
        self,
        data: JSONBody[LogIn],
        accounts: NamedDependency[Accounts],
        callers: NamedDependency[Callers],
        request: AnyRequest,
    ) -> Response[AccountView]:
        """Log in: the answer sets the session cookie."""
        callers.check_origin(request, required=False)
        session = await accounts.log_in(data.email, data.password, address(request))
        return Response(AccountView.of(session.account), cookies=[callers.cookie(session.secret)])

    @delete("/sessions", responses=ERRORS)
    async def log_out(
        self,
        account: NamedDependency[Account],
        accounts: NamedDependency[Accounts],
        callers: NamedDependency[Callers],
        request: AnyRequest,
    ) -> Response[None]:
        """Log out: the session ends and its cookie goes."""
        del account  # Asked for, so that nobody is logged out by another site.
        await accounts.log_out(request.cookies.get(COOKIE, ""))
        return Response(None, status_code=204, cookies=[callers.cookie("")])

    @get("/me", responses=ERRORS)
    async def who_am_i(self, account: NamedDependency[Account]) -> AccountView:
        """The account that asks."""
        return AccountView.of(account)

    @post("/tokens", responses=ERRORS)
    async def create_token(
        self, data: JSONBody[NewName], account: NamedDependency[Account], accounts: NamedDependency[Accounts]
    ) -> NewToken:
        """Make a token for a program: `Authorization: Bearer dbp_...`."""
        made, text = await accounts.create_token(account, data.name)
        return NewToken(made.id, made.name, made.prefix, made.created_at, made.last_used_at, text)

    @get("/tokens", responses=ERRORS)
    async def list_tokens(
        self,
        account: NamedDependency[Account],
        accounts: NamedDependency[Accounts],
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> TokenPage:
        """The account's tokens, newest first."""
        page = await accounts.tokens(account, Paging(limit, after))
        return TokenPage([TokenView.of(token) for token in page.data], page.next_cursor)

    @delete("/tokens/{token_id:str}", responses=ERRORS)
    async def delete_token(
        self,
        token_id: Annotated[str, PathParameter(description="The token's id.")],
        account: NamedDependency[Account],
        accounts: NamedDependency[Accounts],
    ) -> None:
        """Delete a token: it stops working at once."""
        await accounts.end_token(account, token_id)
