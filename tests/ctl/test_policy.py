# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verbs that read policy files themselves. No bus is there."""
import json
import pathlib
import shutil

HERE = pathlib.Path(__file__).parent
GOOD, BAD, ROUTES = (HERE / f'policy-{name}' for name in ('good', 'bad', 'routes'))


def test_check_good(ctl):
    lines = ctl.output('check', GOOD).splitlines()
    assert lines[0] == 'The policy has no errors: 2 services.'
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith('  ')}
    assert rows['db'] == ['tcp', 'allocated:5432', '1', '2', '1', f'{GOOD}/services/db.yaml:1']
    assert rows['shop'] == ['http', '127.71.0.10:80', '2', '4', '3', f'{GOOD}/services/shop.yaml:1']


def test_check_bad(ctl):
    result = ctl.run('check', BAD)
    assert (result.returncode, result.stderr) == (1, '')
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f'{BAD}/services/cart.yaml:3:')
    assert 'wieght' in lines[0] and '"weight"' in lines[0]
    assert lines[1].startswith(f'{BAD}/services/cart.yaml:4:10: balance: ')
    assert lines[-1] == '2 errors.'
    assert any(line.startswith('  shop ') for line in lines), 'what is fine is listed too'
    assert not any(line.startswith('  cart ') for line in lines)


def test_check_json(ctl):
    result = ctl.run('check', '--json', BAD)
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found['valid'] is False
    assert [(e['line'], e['service']) for e in found['errors']] == [(3, 'cart'), (4, 'cart')]
    assert [s['service'] for s in found['services']] == ['shop']
    assert json.loads(ctl.output('check', '--json', GOOD))['valid'] is True


def test_check_root(ctl, tmp_path):
    shutil.copytree(GOOD, tmp_path / 'etc/slicemesh')
    assert 'no errors: 2 services' in ctl.output('check', '--root', tmp_path)


def test_check_nothing_there(ctl, tmp_path):
    result = ctl.run('check', tmp_path / 'nothing')
    assert (result.returncode, result.stdout) == (1, '')
    assert 'No such file or directory' in result.stderr


def test_root_or_directory(ctl):
    for arguments in ['check', '--root=/', GOOD], ['explain', '--root=/', '--offline', GOOD, 'shop']:
        result = ctl.run(*arguments)
        assert (result.returncode, result.stdout) == (2, '')
        assert 'exclude each other' in result.stderr


def explain(ctl, *arguments):
    return json.loads(ctl.output('explain', '--json', '--offline', GOOD, *arguments))


def test_explain_routes(ctl):
    answer = explain(ctl, 'http://shop/v2/x?y')
    assert [(r['name'], r['matched']) for r in answer['routes']] == [('admin', False), ('v2', True)]
    assert answer['routes'][1]['origin'] == f'{GOOD}/services/shop.yaml:17'
    assert [(s['name'], s['share-permille']) for s in answer['subsets']] == [
        ('stable', 900), ('canary', 100)]
    assert [(c['address'], c['share-permille']) for c in answer['subsets'][0]['candidates']] == [
        ('10.1.0.11:8080', 750), ('10.1.0.12:8080', 250), ('10.1.0.13:8080', 0)]
    assert explain(ctl, 'http://shop/v20')['reason'] == 'no-route'
    assert explain(ctl, '127.71.0.10:80/assets')['route'] == 2
    assert explain(ctl, 'shop', '-H', 'host: ADMIN.shop.example:80')['route'] == 0


def test_explain_callers(ctl):
    for name, verdict in (('shop.slice', 'allowed'), ('shop-web.slice', 'allowed'),
                          ('shopping.slice', 'unmanaged'), ('batch.slice', 'refused'),
                          ('-.slice', 'unmanaged')):
        assert explain(ctl, 'http://shop/v2', '--from', name)['caller'] == verdict
    assert explain(ctl, 'db', '--from', 'batch.slice')['caller'] == 'allowed'


def test_explain_names(ctl):
    text = ctl.output('explain', '--offline', GOOD, 'db:5432')
    assert 'db.example:5432 ' in text and '[2001:db8::1]:5432 ' in text
    assert 'the hash leads here' not in text, 'by the cgroup of the caller, which is not known'
    assert 'which only slicemeshd knows' in text


def test_explain_refused(ctl):
    text = ctl.output('explain', '--offline', GOOD, 'http://shop/nowhere', '--from', 'batch.slice')
    assert 'fails at the service shop: no-route' in text
    assert 'batch.slice is not among its callers' in text
    assert explain(ctl, 'GET /', 'http://shop/v2')['reason'] == 'bad-request-line'
    for url in ('https://shop/', 'http:///x', ''):
        assert ctl.run('explain', '--offline', GOOD, url).returncode == 2
    result = ctl.run('explain', '--offline', BAD, 'http://cart/')
    assert result.returncode == 1
    assert result.stderr == 'There is no service "cart" without errors; try "check".\n'


def test_explain_fast_path(ctl):
    def fast_path(*arguments):
        answer = explain(ctl, *arguments)['fast-path']
        return answer['slow'], [limit['limit'] for limit in answer['limits']]

    assert fast_path('http://shop/v2') == ('none', ['blocking', 'remote'])
    assert fast_path('http://shop/v2', '-H', 'Connection: close')[0] == 'rewritten'
    assert fast_path('http://shop/nowhere')[0] == 'none'
    assert fast_path('GET /', 'http://shop/v2')[0] == 'refused'
    assert fast_path('db') == (None, ['tcp'])
    text = ctl.output('explain', '--offline', GOOD, 'http://shop/v2')
    assert 'may take the fast path\n' in text and 'Never by the fast path\n' in text


def explain_text(ctl, *arguments):
    """What is printed, with the directory of the policy as POLICY."""
    return ctl.output('explain', '--offline', ROUTES, *arguments).replace(str(ROUTES), 'POLICY')


def test_explain_routes(ctl):
    """Everything that there is to be told, as it is told."""
    arguments = ['--from', 'shop.slice', '--source', '10.1.1.1', 'http://shop/api/x?page=7', '-H',
                 'Cookie: sid=42']
    assert explain_text(ctl, *arguments) == (HERE / 'explain-routes.txt').read_text()
    german = ctl.run('explain', '--offline', ROUTES, *arguments, LANGUAGE='de').stdout
    for part in ('trifft nicht zu', 'passt vielleicht (5%): ', 'Aufgeteilt nach cookie sid'):
        assert part in german


def test_explain_conditions(ctl):
    def why(route, *arguments):
        found = json.loads(ctl.output('explain', '--json', '--offline', ROUTES, *arguments))
        return next(r['why'] for r in found['routes'] if r['name'] == route)
    beta = 'headers: {x-beta: [1, 2]} does not hold'
    assert why('beta', 'shop') == f'{beta}; cookies: {{beta: {{regex: "^y"}}}} does not hold'
    assert why('beta', 'shop', '-H', 'X-Beta: 3') == \
        f'{beta}: it is 3; cookies: {{beta: {{regex: "^y"}}}} does not hold'
    assert why('beta', 'shop', '-H', 'X-Beta: 2') == 'headers: {x-beta: [1, 2]} holds'
    assert why('beta', 'shop', '-H', 'Cookie: beta=yes') == 'cookies: {beta: {regex: "^y"}} holds'
    bot = ['shop', '-H', 'X-Bot: 1']
    assert why('bots', *bot, '--user', '0') == 'callers: {user: root} must not hold: it is 0'
    assert why('bots', *bot, '--user', 'nobody') == \
        'headers: {x-bot: {present: true}} holds; callers: {user: root} does not hold: it is nobody'
    for caller in 'shop.slice', 'shop-web.slice', 'ops.slice/cart.service':
        told = why('api', 'shop/api', '--source', '10.1.1.1', '--from', caller)
        assert 'callers' in told and 'does not' not in told
    assert why('api', 'shop/api', '--source', '10.1.1.1', '--from', 'ops.slice') == \
        'callers: shop.slice does not hold: it is ops.slice; callers: cart.service does not hold'
    assert why('api', 'shop/api', '--source', '11.1.1.1', '--from', 'cart.service') == \
        'source: 10.0.0.0/8 does not hold: it is 11.1.1.1'


def test_explain_answers(ctl):
    text = explain_text(ctl, 'http://shop/old/x?y', '-H', 'Host: shop.example')
    assert '  is redirected by the service shop to http://shop.example/new/x?y\n' in text
    text = explain_text(ctl, 'shop', '-H', 'X-Bot: 1')
    assert '  is answered for the service shop with status 403\n  may take the fast path\n' in text


def test_explain_body(ctl, tmp_path):
    form = ['POST', 'shop', '-H', 'Content-Type: application/x-www-form-urlencoded']
    (tmp_path / 'body').write_text('a=b&tier=gold')
    for body in 'tier=gold', f'@{tmp_path}/body':
        found = json.loads(ctl.output('explain', '--json', '--offline', ROUTES, *form, '--body', body))
        assert found['routes'][found['route']]['name'] == 'form'
        assert found['fast-path']['slow'] == 'none'
    text = explain_text(ctl, *form, '--body', 'tier=lead')
    assert 'body: {form: {tier: gold}} does not hold: it is lead' in text
    result = ctl.run('explain', '--offline', ROUTES, *form, '--body', f'@{tmp_path}/none')
    assert (result.returncode, result.stdout) == (1, '')
    assert 'No such file or directory' in result.stderr
    assert ctl.run('explain', '--offline', ROUTES, 'shop', '--user', 'nobody-of-that-name').returncode == 2
