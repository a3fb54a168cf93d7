import json

from tests.conftest import run_command


def test_command(tmp_path):
    path = tmp_path / 'run/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    records = [dict(step=1, loss=3.0), dict(step=2, loss=2.0)]
    records += [{'step': 2, 'pixel/dice_hemorrhage': 0.5}]
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    run_command('python', 'tools/plot_curves.py', tmp_path)
    assert (tmp_path / 'curves.png').read_bytes().startswith(b'\x89PNG')


def test_folder_without_scalars(tmp_path):
    output = run_command('python', 'tools/plot_curves.py', tmp_path, status=1)
    assert output.startswith(f'plot_curves.py: error: {tmp_path} holds no */vis_data/scalars.json')
