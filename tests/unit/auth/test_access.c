#include "../store/house.h"

#include "auth/auth.h"
#include "base/thread.h"

/* Saves a token with these claims and the usual times. Returns the Authorization header, new. */
static char *sign_in(House *house, const char *claims, int64_t issued, int64_t expires) {
        static int number;
        g_autoptr(Value) value = json(claims);
        g_autofree char *token = g_strdup_printf("token-%d", ++number);
        int64_t now = time_seconds(clock_now());

        value_map_set_int(value, "iat", now + issued);
        value_map_set_int(value, "exp", now + expires);
        OK(token_save(house->store, token, "sub", value, (now + expires) * 1000000, &error));
        return g_strconcat("bearer ", token, NULL);
}

static Auth *open_auth(House *house) {
        AuthSpec spec = { .store = house->store, .external_url = "https://ci.example.com" };
        return OK(auth_new(&spec, &error));
}

static Access *access_with(House *house, Auth *auth, const char *claims) {
        g_autofree char *header = sign_in(house, claims, 0, 3600);
        return OK(access_new(auth, header, &error));
}

static void save_team(House *house, Auth *auth, const char *name, const char *rules) {
        g_autoptr(Value) value = json(rules);
        OK(team_save(house->store, name, value, NULL, NULL, &error));
        auth_forget_teams(auth);
}

#define ALICE                                                                                      \
        "{'aud':'fly','name':'alice','federated_claims':{'connector_id':'local','user_id':'alice'}}"

/* ---- headers and times ---- */

static void nobody_is_anonymous(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        g_autoptr(Access) access = OK(access_new(auth, NULL, &error));
        g_assert_false(access_has_token(access));
        g_assert_false(access_is_authenticated(access));
        g_assert_false(access_is_admin(access));
        g_assert_false(access_allows(access, "main", ROLE_VIEWER));
        g_assert_false(access_allows_any(access, ROLE_VIEWER));
        g_assert_null(access_display_name(access));
        g_assert_cmpint(access_visibility(access, ROLE_VIEWER).team_count, ==, 0);
}

static void only_two_words_of_which_the_first_is_bearer_sign_in(House *house) {
        static const struct {
                const char *header; /* %s is the token */
                bool authenticated;
        } cases[] = {
                { "bearer %s", true },
                { "Bearer %s", true },
                { "BEARER %s", true },
                { "bearer  %s", false },
                { "bearer %s x", false },
                { "bearer %s ", false },
                { " bearer %s", false },
                { "%s", false },
                { "bearer", false },
                { "bearer ", false },
                { "", false },
                { "basic %s", false },
                { "bearers %s", false },
                { "bearer\t%s", false },
                { "bearer %sx", false },
        };
        g_autoptr(Auth) auth = open_auth(house);
        g_autofree char *good = sign_in(house, ALICE, 0, 3600);
        const char *token = good + strlen("bearer ");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(GStrv) around = g_strsplit(cases[i].header, "%s", 2);
                g_autofree char *header = g_strjoinv(token, around);
                g_autoptr(Access) access = OK(access_new(auth, header, &error));
                g_assert_true(access_has_token(access));
                g_assert_cmpint(access_is_authenticated(access), ==, cases[i].authenticated);
        }
}

static void times_have_a_minutes_leeway_and_audiences_are_ours(House *house) {
        static const struct {
                const char *claims;
                int64_t issued, expires;
                bool authenticated;
        } cases[] = {
                { "{'aud':'fly'}", 0, 3600, true },
                { "{'aud':'concourse-web'}", 0, 3600, true },
                { "{'aud':'concourse-worker'}", 0, 3600, true },
                { "{'aud':'other'}", 0, 3600, false },
                { "{'aud':['fly']}", 0, 3600, false },
                { "{}", 0, 3600, false },
                { "{'aud':'fly'}", -3600, -50, true },
                { "{'aud':'fly'}", -3600, -61, false },
                { "{'aud':'fly'}", 50, 3600, true },
                { "{'aud':'fly'}", 70, 3600, false },
        };
        g_autoptr(Auth) auth = open_auth(house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *header = sign_in(house, cases[i].claims, cases[i].issued,
                                                  cases[i].expires);
                g_autoptr(Access) access = OK(access_new(auth, header, &error));
                g_assert_true(access_has_token(access));
                g_assert_cmpint(access_is_authenticated(access), ==, cases[i].authenticated);
                if (!cases[i].authenticated)
                        g_assert_null(access_display_name(access));
        }
}

/* ---- who matches ---- */

#define MATCH_CLAIMS(connector, user, rest)                                                        \
        "{'aud':'fly','federated_claims':{'connector_id':'" connector "','user_id':'" user         \
        "'}" rest "}"

static void users_and_groups_match_by_connector(House *house) {
        static const struct {
                const char *rule, *claims;
                bool matches;
        } cases[] = {
                { "{'users':['local:alice']}", MATCH_CLAIMS("local", "alice", ""), true },
                { "{'users':['local:ALICE']}", MATCH_CLAIMS("local", "alice", ""), true },
                { "{'users':['local:alice']}", MATCH_CLAIMS("local", "Alice", ""), true },
                { "{'users':['local:alice']}", MATCH_CLAIMS("github", "alice", ""), false },
                { "{'users':['alice']}", MATCH_CLAIMS("local", "alice", ""), false },
                { "{'users':['github:12345']}",
                  MATCH_CLAIMS("github", "12345", ",'preferred_username':'octo','name':'O C'"),
                  true },
                { "{'users':['github:octo']}",
                  MATCH_CLAIMS("github", "12345", ",'preferred_username':'octo','name':'O C'"),
                  true },
                { "{'users':['github:o c']}",
                  MATCH_CLAIMS("github", "12345", ",'preferred_username':'octo','name':'O C'"),
                  false },
                { "{'users':['github:o c']}", MATCH_CLAIMS("github", "12345", ",'name':'O C'"),
                  true },
                { "{'users':[':','local:']}", MATCH_CLAIMS("local", "", ""), false },
                { "{'users':[':x']}", MATCH_CLAIMS("", "x", ""), false },
                { "{'groups':['github:org:team']}",
                  MATCH_CLAIMS("github", "1", ",'groups':['other','Org:Team']"), true },
                { "{'groups':['github:org']}",
                  MATCH_CLAIMS("github", "1", ",'groups':['org:team']"), false },
                { "{'users':['github:org']}", MATCH_CLAIMS("github", "1", ",'groups':['org']"),
                  false },
                { "{'users':['cf:u']}", MATCH_CLAIMS("cloudfoundry", "u", ""), true },
                { "{'groups':['cf:o:s']}", MATCH_CLAIMS("cloudfoundry", "u", ",'groups':['o:s']"),
                  true },
                { "{'users':['local:x']}", "{'aud':'concourse-worker'}", false },
        };
        g_autoptr(Auth) auth = open_auth(house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *rules = g_strdup_printf("{'viewer':%s}", cases[i].rule);
                g_autofree char *name = g_strdup_printf("t%zu", i);
                save_team(house, auth, name, rules);
                g_autoptr(Access) access = access_with(house, auth, cases[i].claims);
                if (access_allows(access, name, ROLE_VIEWER) != cases[i].matches)
                        g_error("%s %s", cases[i].rule, cases[i].claims);
        }
}

static void a_role_includes_the_lower_ones(House *house) {
        static const Role roles[] = { ROLE_VIEWER, ROLE_OPERATOR, ROLE_MEMBER, ROLE_OWNER };
        g_autoptr(Auth) auth = open_auth(house);
        for (size_t has = 0; has < G_N_ELEMENTS(roles); has++) {
                g_autofree char *rules = g_strdup_printf("{'%s':{'users':['local:alice']}}",
                                                         role_name(roles[has]));
                save_team(house, auth, "t", rules);
                g_autoptr(Team) team = OK(team_find(house->store, "t", &error));
                g_autoptr(Access) access = access_with(house, auth, ALICE);
                for (size_t needs = 0; needs < G_N_ELEMENTS(roles); needs++) {
                        bool expect = needs <= has;
                        Visibility seen = access_visibility(access, roles[needs]);
                        g_assert_cmpint(access_allows(access, "t", roles[needs]), ==, expect);
                        g_assert_cmpint(access_allows_id(access, team->id, roles[needs]), ==,
                                        expect);
                        g_assert_cmpint(access_allows_any(access, roles[needs]), ==, expect);
                        g_assert_cmpint(seen.team_count, ==, expect);
                        g_assert_false(seen.everything);
                }
                g_assert_false(access_allows(access, "main", ROLE_VIEWER));
                g_assert_false(access_allows(access, "unknown", ROLE_VIEWER));
        }
}

static void unknown_roles_never_satisfy(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        save_team(house, auth, "t", "{'king':{'users':['local:alice']}}");
        g_autoptr(Access) access = access_with(house, auth, ALICE);
        g_assert_false(access_allows(access, "t", ROLE_VIEWER));
        g_autoptr(Value) user = access_user(access);
        g_assert_cmpint(value_length(value_get(user, "teams")), ==, 0);
}

static void an_empty_role_of_old_data_matches_everybody(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        save_team(house, auth, "open", "{'viewer':{'users':[],'groups':[]}}");
        g_autoptr(Access) anonymous = OK(access_new(auth, NULL, &error));
        g_autoptr(Access) broken = OK(access_new(auth, "nonsense", &error));
        g_autoptr(Access) alice = access_with(house, auth, ALICE);
        Access *const all[] = { anonymous, broken, alice };
        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                g_assert_true(access_allows(all[i], "open", ROLE_VIEWER));
                g_assert_false(access_allows(all[i], "open", ROLE_MEMBER));
        }
}

static void only_an_owner_of_main_is_admin(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        save_team(house, auth, "main",
                  "{'owner':{'users':['local:admin']},'member':{'users':['local:alice']}}");
        save_team(house, auth, "t", "{'owner':{'users':['local:alice']}}");
        g_autoptr(Access) member = access_with(house, auth, ALICE);
        g_autoptr(Access) admin = access_with(house, auth, MATCH_CLAIMS("local", "admin", ""));
        g_assert_false(access_is_admin(member));
        g_assert_true(access_allows(member, "main", ROLE_MEMBER));
        g_assert_false(access_allows(member, "main", ROLE_OWNER));
        g_assert_true(access_is_admin(admin));
        g_assert_true(access_allows(admin, "t", ROLE_OWNER));
        g_assert_true(access_allows(admin, "unknown", ROLE_OWNER));
        g_assert_true(access_visibility(admin, ROLE_VIEWER).everything);
}

static void a_worker_is_system_and_has_no_team(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        g_autoptr(Access) worker = access_with(house, auth, "{'aud':'concourse-worker'}");
        g_autoptr(Access) socket = access_new_system();
        g_autoptr(Access) fly = access_with(house, auth, ALICE);
        Access *const both[] = { worker, socket };
        for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
                g_assert_true(access_is_system(both[i]));
                g_assert_true(access_is_authenticated(both[i]));
                g_assert_false(access_is_admin(both[i]));
                g_assert_false(access_allows_any(both[i], ROLE_VIEWER));
        }
        g_assert_false(access_is_system(fly));
}

/* ---- what is told ---- */

static void the_user_is_told_with_all_keys(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        save_team(house, auth, "t",
                  "{'owner':{'users':['github:octo']},'viewer':{'groups':['github:org']}}");
        g_autoptr(Access) access = access_with(
                house, auth,
                MATCH_CLAIMS("github", "1",
                             ",'sub':'S','name':'O C','preferred_username':'octo',"
                             "'email':'o@x','groups':['org']"));
        g_autoptr(Value) user = access_user(access);
        g_autofree char *told = json_text(user);
        g_assert_cmpstr(told, ==,
                        "{'sub':'S','name':'O C','user_id':'1','user_name':'octo','email':'o@x',"
                        "'is_admin':false,'is_system':false,'teams':{'t':['owner','viewer']},"
                        "'connector':'github','display_user_id':'octo'}");
        g_assert_cmpstr(access_display_name(access), ==, "octo");
}

static void the_display_name_is_the_first_that_is_there(House *house) {
        static const struct {
                const char *claims, *name;
        } cases[] = {
                { MATCH_CLAIMS("c", "id", ",'name':'N','preferred_username':'P'"), "P" },
                { MATCH_CLAIMS("c", "id", ",'name':'N','preferred_username':''"), "id" },
                { MATCH_CLAIMS("c", "", ",'name':'N'"), "N" },
                { "{'aud':'fly'}", "" },
        };
        g_autoptr(Auth) auth = open_auth(house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Access) access = access_with(house, auth, cases[i].claims);
                g_assert_cmpstr(access_display_name(access), ==, cases[i].name);
        }
}

/* Teams are kept until the store says that one has changed. */
static void forget(NotifyKind kind, int64_t id, void *data) {
        queue_try_push(data, data);
}

static void a_change_by_another_node_is_heard_of(House *house) {
        g_autoptr(Auth) auth = open_auth(house);
        g_autofree char *header = sign_in(house, ALICE, 0, 3600);
        g_autoptr(Queue) heard = queue_new(100);
        /* Watches of one kind are called in the order they were made: auth's is before ours. */
        uint64_t watch = notify_watch(house->store, NOTIFY_TEAMS, 0, forget, heard);
        Duration deadline = clock_monotonic() + 20 * DURATION_SECOND;
        for (int i = 0; i < 20; i++) {
                bool listed = i % 2 == 0;
                void *item;
                g_autoptr(Value) rules = json(listed ? "{'owner':{'users':['local:alice']}}"
                                                     : "{'owner':{'users':['local:bob']}}");
                OK(team_save(house->store, "t", rules, NULL, NULL, &error));
                for (;;) {
                        g_autoptr(Access) access = OK(access_new(auth, header, &error));
                        if (access_allows(access, "t", ROLE_OWNER) == listed)
                                break;
                        OK(queue_pop(heard, &item, deadline, NULL, &error));
                }
        }
        notify_unwatch(house->store, watch);
}

static void add(void) {
        house_add("/access/anonymous", nobody_is_anonymous);
        house_add("/access/header", only_two_words_of_which_the_first_is_bearer_sign_in);
        house_add("/access/claims", times_have_a_minutes_leeway_and_audiences_are_ours);
        house_add("/access/match", users_and_groups_match_by_connector);
        house_add("/access/ladder", a_role_includes_the_lower_ones);
        house_add("/access/unknown-role", unknown_roles_never_satisfy);
        house_add("/access/legacy", an_empty_role_of_old_data_matches_everybody);
        house_add("/access/admin", only_an_owner_of_main_is_admin);
        house_add("/access/system", a_worker_is_system_and_has_no_team);
        house_add("/access/user", the_user_is_told_with_all_keys);
        house_add("/access/display-name", the_display_name_is_the_first_that_is_there);
        house_add("/access/teams", a_change_by_another_node_is_heard_of);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
