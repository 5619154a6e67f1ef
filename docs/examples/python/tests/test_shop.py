import shop
def test_total():
    assert shop.total([10, 20]) == 35.7
